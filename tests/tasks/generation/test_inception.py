"""Made images through Inception v3, whose weights here are random."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.models import inception_v3

from quintet.data.spec import Split
from quintet.errors import UserError
from quintet.report import words
from quintet.tasks.generation import Generation
from quintet.tasks.generation.inception import Inception

WHERE = "params.yaml: evaluation.inception"


def weights(folder: Path, classes: int) -> Path:
    torch.manual_seed(0)
    network = inception_v3(weights=None, num_classes=classes, aux_logits=classes == 1000, init_weights=False)
    torch.save(network.state_dict(), folder / f"inception-{classes}.pth")
    return folder / f"inception-{classes}.pth"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like that of published FIDs."""
    return weights(tmp_path_factory.mktemp("weights"), 1008)


def test_features_are_those_before_the_classes(tmp_path):
    file = weights(tmp_path, 1000)
    found = Inception(file, WHERE)
    assert found.name == "torchvision's Inception v3"
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)
    network = inception_v3(weights=None, init_weights=False).eval()
    network.load_state_dict(torch.load(file, weights_only=True))
    seen = {}
    network.avgpool.register_forward_hook(lambda module, args, out: seen.update(out=out))
    pixels = torch.from_numpy(images).float().expand(-1, 3, -1, -1) / 127.5 - 1
    with torch.inference_mode():
        network(F.interpolate(pixels, size=(299, 299), mode="bilinear", align_corners=False))
    assert found.look(images) == pytest.approx(seen["out"].flatten(1).double().numpy(), abs=1e-5)


def test_the_pools_of_published_fids_leave_padding_out(published):
    network = Inception(published, WHERE).network
    block = network.Mixed_5b
    block.branch_pool = torch.nn.Identity()
    maps = torch.ones(1, 192, 6, 6)
    with torch.inference_mode():
        assert torch.equal(block(maps)[:, -192:], maps), "an average of ones is one, at the border as well"
        last = network.Mixed_7c
        last.branch_pool = torch.nn.Identity()
        maps = torch.randn(1, 2048, 3, 3)
        assert torch.equal(last(maps)[:, -2048:, 1, 1], maps.amax((2, 3)))


def test_figures_by_inception_stand_beside_the_others_and_are_named_so(
    objective: Generation, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quintet.tasks.generation.inception._SIDE", 75)  # the least it takes; 299 takes half a minute
    test = objective.inputs.load("test")
    few = Split(test.ids[:7], test.inputs[:7], test.targets[:7])
    objective.look_with(published, WHERE)
    found = objective.beside(np.array(few.inputs[::-1]), few, conditional=False)
    assert found.inception is not None
    metrics = objective.metrics(found)
    assert metrics["inception_fid"] == pytest.approx(0, abs=1e-6), "the same images in another order"
    objective.write(tmp_path, {0: found})
    beside = json.loads((tmp_path / "generation.json").read_text())
    assert beside["inception"]["network"] == "Inception v3, as for published FIDs"
    assert beside["floor"]["inception_fid"] > 0
    assert "trained here" in beside["features"]
    assert "Inception" in words.metric_title("inception_fid")
    note = words.metric_notes(["frechet_distance", "inception_fid"])
    assert "a network trained here" in note
    assert "Inception v3" in note


@pytest.mark.parametrize("content", [None, b"", b"PK nothing", "other"])
def test_a_file_without_the_weights_is_one_line(tmp_path, content):
    file = tmp_path / "inception.pth"
    if content == "other":
        torch.save({"fc.weight": torch.zeros(1000, 3)}, file)
    elif content is not None:
        file.write_bytes(content)
    said = "no such file" if content is None else "holds no weights of Inception v3"
    with pytest.raises(UserError, match=said) as caught:
        Inception(file, WHERE)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(WHERE)
