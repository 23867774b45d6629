"""Served generators, inpainters and translators: what is asked for is made, what makes no sense is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from quintet.data.spec import DataSpec
from quintet.errors import UserError
from quintet.serving import make_adapter
from quintet.serving.adapter import Adapter, BadInput
from quintet.serving.files import predict_files
from quintet.tasks.generation import Generation, latents
from quintet.tasks.inpainting import Inpainting
from quintet.tasks.style_transfer import StyleTransfer
from quintet.training.weights import save_weights
from tests.serving.conftest import BAD, encoded

SPEC = DataSpec("bars", "image", "class", (1, 8, 8), ("7", "b", "c"), {}, {}, (0.5,), (0.2,), 0, {"took": ""}, "bars-1")
VAE = {"family": "cnn", "name": "vae", "settings": {"latent_dim": 4, "width": 4, "conditional": True}}
STYLEGAN = {"family": "gan", "name": "stylegan", "settings": {"latent_dim": 4, "mapping_layers": 1, "width": 4}}
PIX2PIX = {"family": "gan", "name": "pix2pix", "settings": {"width": 4}}
CYCLEGAN = {"family": "gan", "name": "cyclegan", "settings": {"width": 4, "num_blocks": 1}}
DOMAINS = replace(SPEC, classes=("digits", "outlines"))
TASKS = {"vae": Generation, "stylegan": Generation, "pix2pix": Inpainting, "cyclegan": StyleTransfer}
CPU = torch.device("cpu")


@pytest.fixture
def served(tmp_path: Path) -> Callable[..., tuple[Adapter, Any]]:
    """The adapter of an untrained network, and its twin to compare with."""

    def make(model: dict[str, Any]) -> tuple[Adapter, Any]:
        torch.manual_seed(0)
        objective, spec = TASKS[model["name"]], DOMAINS if model is CYCLEGAN else SPEC
        network = objective(spec).network(model).eval()
        if model is STYLEGAN:
            network.generator.mean_style.normal_()
        save_weights(network.state_dict(), tmp_path / "weights.safetensors")
        task = objective.__module__.removeprefix("quintet.tasks.")
        adapter = make_adapter({"task": task, "model": model}, json.loads(json.dumps(asdict(spec))))
        adapter.load(tmp_path / "weights.safetensors", {})
        return adapter, network

    return make


def opened(picture: str) -> np.ndarray:
    with Image.open(BytesIO(base64.b64decode(picture))) as image:
        assert (image.format, image.size) == ("PNG", (8, 8))
        return np.asarray(image)


def asked(adapter: Adapter, **row: Any) -> dict[str, Any]:
    [answer] = adapter.answer([adapter.read(row)])
    return answer


@pytest.mark.parametrize("model", [VAE, STYLEGAN, PIX2PIX, CYCLEGAN], ids=[*TASKS])
def test_the_example_is_answered_with_the_fields_it_promises(served: Callable[..., Any], model: Any) -> None:
    adapter, _ = served(model)
    assert set(adapter.example()) <= set(adapter.takes)
    answer = asked(adapter, **adapter.example())
    assert set(answer) == set(adapter.gives)
    json.dumps(answer)


def test_a_seed_and_a_class_give_the_same_images_as_the_network_and_seed_0_those_of_the_report(
    served: Callable[..., Any],
) -> None:
    adapter, network = served(VAE)
    answer = asked(adapter, seed=0, count=3, **{"class": "c"})
    expected = Generation(SPEC).make(network, latents(9, 4)[:3], torch.tensor([2, 2, 2]), CPU)
    assert [opened(image).tolist() for image in answer["images"]] == expected[:, 0].tolist()
    assert answer["classes"] == ["c"] * 3
    assert asked(adapter, seed=1, count=3, **{"class": "c"}) != answer
    drawn = asked(adapter, seed=5, count=40)
    assert set(drawn["classes"]) == {"7", "b", "c"}
    assert asked(adapter, seed=5.0, count=np.int64(40), truncation=None) == drawn
    of_one = asked(adapter, seed=5, count=40, **{"class": drawn["classes"][0]})["images"]
    assert of_one[0] == drawn["images"][0], "the class that was drawn is the class that was made"


def test_truncation_takes_styles_to_their_mean_and_the_network_no_class(served: Callable[..., Any]) -> None:
    adapter, network = served(STYLEGAN)
    answer = asked(adapter, seed=3, count=2, truncation=0)
    with torch.no_grad():
        mean = network.generator.synthesis(network.generator.mean_style.expand(1, 4, -1)).clamp(-1, 1)
    wanted = ((mean[0, 0] + 1) * 127.5).round().to(torch.uint8).numpy()
    assert all(np.abs(opened(image).astype(int) - wanted).max() <= 1 for image in answer["images"])
    assert answer["classes"] == []
    assert len(set(asked(adapter, seed=3, count=2)["images"])) == 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "there is no 'seed'"),
        ({"seed": float("nan")}, "there is no 'seed'"),
        ({"seed": "x"}, "seed 'x' is no whole number"),
        ({"seed": 1.5}, "seed 1.5 is no whole number"),
        ({"seed": True}, "seed True is no whole number"),
        ({"seed": float("inf")}, "seed inf"),
        ({"seed": -1}, "seed -1; it takes 0 to 4294967295"),
        ({"seed": [1]}, "is no whole number"),
        ({"seed": 1, "count": 65}, "count 65; it takes 1 to 64"),
        ({"seed": 1, "count": 0}, "count 0; it takes 1 to 64"),
        ({"seed": 1, "truncation": 1.01}, r"truncation 1.01; it takes 0 \(all alike\) to 1"),
        ({"seed": 1, "truncation": "much"}, "truncation 'much' is no number"),
        ({"seed": 1, "class": "d"}, "unknown class 'd'; it takes: 7, b, c"),
        ({"seed": 1, "class": 7}, "unknown class 7; it takes: 7, b, c"),
        ({"seed": 1, "class": ["b"]}, r"unknown class \['b'\]"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_with_its_reason(
    served: Callable[..., Any], row: dict[str, Any], reason: str
) -> None:
    adapter, _ = served(VAE)
    with pytest.raises(BadInput, match=reason):
        adapter.read(row)


def test_a_class_for_a_network_without_classes_is_refused(served: Callable[..., Any]) -> None:
    adapter, _ = served(STYLEGAN)
    with pytest.raises(BadInput, match="trained without classes and takes none"):
        adapter.read({"seed": 1, "class": "b"})


def test_tables_of_rows_become_a_folder_of_pictures(served: Callable[..., Any], tmp_path: Path) -> None:
    adapter, _ = served(VAE)
    (tmp_path / "rows.csv").write_text("seed,class,count\n1,7,2\n2,,1\n")
    (tmp_path / "rows.jsonl").write_text('{"seed": 1, "class": "7", "count": 2, "truncation": 0.5}\n')
    out = tmp_path / "made"
    found = predict_files(adapter, [tmp_path / "rows.csv", tmp_path / "rows.jsonl"], out)
    assert (found.answered, found.bad) == (3, {})
    rows = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    assert [row["images"] for row in rows] == [["00000.png", "00001.png"], ["00002.png"], ["00003.png", "00004.png"]]
    assert rows[0] == {"input": f"{tmp_path}/rows.csv:2", "images": rows[0]["images"], "classes": ["7", "7"]}
    wanted = asked(adapter, seed=1, count=2, **{"class": "7"})["images"]
    assert [(out / name).read_bytes() for name in rows[0]["images"]] == [base64.b64decode(image) for image in wanted]
    assert not (tmp_path / ".made.partial").exists()
    with pytest.raises(UserError, match=r"made: is there already; name a new folder"):
        predict_files(adapter, [tmp_path / "rows.csv"], out)
    # As a table there are the pictures themselves.
    predict_files(adapter, [tmp_path / "rows.jsonl"], tmp_path / "made.jsonl")
    assert len(json.loads((tmp_path / "made.jsonl").read_text())["images"]) == 2
    (tmp_path / "bad.csv").write_text("seed,klass\n1,7\n")
    with pytest.raises(UserError, match=r"bad.csv:2: unknown column 'klass'; it takes: seed, class"):
        predict_files(adapter, [tmp_path / "bad.csv"], tmp_path / "other")
    with pytest.raises(
        UserError, match=r"no table can be written as '.xls'; it takes: .csv, .jsonl, .parquet, or a fo"
    ):
        predict_files(adapter, [tmp_path / "rows.csv"], tmp_path / "made.xls")
    assert not (tmp_path / "other").exists()


def holed(size: int = 8) -> tuple[Image.Image, str, Image.Image]:
    """A picture with a transparent square, the same one without and a mask of the square."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (size, size), dtype=np.uint8)
    mask = np.zeros((size, size), np.uint8)
    mask[size // 4 : size // 2, size // 4 : size // 2] = 255
    transparent = Image.fromarray(np.stack([pixels] * 3 + [255 - mask], -1), "RGBA")
    return transparent, encoded(Image.fromarray(pixels)), Image.fromarray(mask)


def test_a_hole_may_be_transparent_a_box_or_a_mask_and_the_rest_stays(served: Callable[..., Any]) -> None:
    adapter, network = served(PIX2PIX)
    transparent, whole, mask = holed()
    box = asked(adapter, image=whole, hole=[2, 2, 4, 4])
    assert asked(adapter, image=whole, hole=encoded(mask)) == box
    assert asked(adapter, image=encoded(transparent)) == box
    made, before = opened(box["image"]), opened(whole)
    hole = np.asarray(mask) > 0
    assert np.array_equal(made[~hole], before[~hole])
    assert not np.array_equal(made[hole], before[hole])
    with torch.no_grad():
        broken = (torch.from_numpy(before.copy()).float() / 127.5 - 1).masked_fill(torch.from_numpy(hole), 0.0)
        filled = ((network.translator(broken[None, None])[0, 0] + 1) * 127.5).round().numpy()
    assert np.abs(made[hole] - filled[hole]).max() <= 1


def test_a_larger_picture_is_scaled_with_its_hole(served: Callable[..., Any]) -> None:
    adapter, _ = served(PIX2PIX)
    _, whole, _ = holed(64)
    image, hole = adapter.read({"image": whole, "hole": [16, 16, 33, 32]})
    assert image.shape == (1, 8, 8)
    assert np.argwhere(hole).min(0).tolist() == [2, 2]
    assert np.argwhere(hole).max(0).tolist() == [3, 4], "a pixel that the hole touches belongs to it"


@pytest.mark.parametrize(
    ("hole", "reason"),
    [
        (None, "there is no 'hole', and nothing of the picture is transparent"),
        ([0, 0, 8, 8], "the hole leaves nothing of the picture"),
        ([2, 2, 2, 4], r"\[2, 2, 2, 4\] does not lie within the 8 x 8 pixels"),
        ([2, 2, 9, 4], "does not lie within"),
        ([-1, 2, 3, 4], "does not lie within"),
        ([1, 2, 3], "neither a box"),
        ([1, 2, 3, 4.5], "neither a box"),
        ({"left": 1}, "neither a box"),
        (encoded(Image.new("L", (9, 8), 255)), "of different sizes, 9 x 8 and 8 x 8"),
        (encoded(Image.new("L", (8, 8), 0)), "there is no hole in the part"),
        ("?", "not base64"),
    ],
)
def test_a_hole_that_makes_no_sense_is_refused(served: Callable[..., Any], hole: Any, reason: str) -> None:
    adapter, _ = served(PIX2PIX)
    with pytest.raises(BadInput, match=reason):
        adapter.read({"image": holed()[1], "hole": hole})


@pytest.mark.parametrize("case", ["not base64", "empty text", "torn", "bomb", "number", "nothing"])
def test_a_picture_that_can_not_be_read_is_refused(served: Callable[..., Any], case: str) -> None:
    adapter, _ = served(PIX2PIX)
    make, message = BAD[case]
    with pytest.raises(BadInput, match="no PNG or JPEG in base64" if case in ("number", "nothing") else message):
        adapter.read({"image": make(), "hole": [1, 1, 3, 3]})


def test_transparent_files_are_repaired_into_a_folder(served: Callable[..., Any], tmp_path: Path) -> None:
    adapter, _ = served(PIX2PIX)
    transparent, whole, _ = holed()
    (tmp_path / "in").mkdir()
    transparent.save(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(base64.b64decode(whole))
    found = predict_files(adapter, [tmp_path / "in"], tmp_path / "out", skip_bad=True)
    assert found.answered == 1
    assert "nothing of the picture is transparent" in found.bad[f"{tmp_path}/in/b.png"]
    wanted = asked(adapter, image=encoded(transparent))["image"]
    assert (tmp_path / "out/00000.png").read_bytes() == base64.b64decode(wanted)


def test_an_image_is_translated_into_the_domain_that_is_named(served: Callable[..., Any]) -> None:
    adapter, network = served(CYCLEGAN)
    _, whole, _ = holed()
    before = opened(whole)
    for domain, into in enumerate(DOMAINS.classes):
        answer = asked(adapter, image=whole, into=into)
        with torch.no_grad():
            given = torch.from_numpy(before.copy()).float()[None, None] / 127.5 - 1
            wanted = ((network.translator(given, torch.tensor([domain]))[0, 0] + 1) * 127.5).round().numpy()
        assert np.abs(opened(answer["image"]) - wanted).max() <= 1
        assert answer["into"] == into
        assert asked(adapter, image=before.tolist(), into=into) == answer, "pixels are as good as a picture"
    assert asked(adapter, image=whole) == asked(adapter, image=whole, into=float("nan")) == answer
    # Rows of one request may go both ways.
    both = adapter.answer([adapter.read({"image": whole, "into": into}) for into in reversed(DOMAINS.classes)])
    assert [row["into"] for row in both] == ["outlines", "digits"]
    assert both[0] == answer != both[1]


@pytest.mark.parametrize("into", ["sketches", "", 1, ["digits"]])
def test_a_domain_that_is_not_there_is_refused(served: Callable[..., Any], into: Any) -> None:
    adapter, _ = served(CYCLEGAN)
    with pytest.raises(BadInput, match=r"unknown domain .* in 'into'; it takes: digits, outlines"):
        adapter.read({"image": holed()[1], "into": into})


@pytest.mark.parametrize("case", ["not base64", "empty text", "torn", "bomb", "nothing"])
def test_a_picture_to_translate_that_can_not_be_read_is_refused(served: Callable[..., Any], case: str) -> None:
    adapter, _ = served(CYCLEGAN)
    make, message = BAD[case]
    with pytest.raises(BadInput, match=message):
        adapter.read({"image": make(), "into": "digits"})


def test_pictures_and_rows_are_translated_into_a_folder(served: Callable[..., Any], tmp_path: Path) -> None:
    adapter, _ = served(CYCLEGAN)
    _, whole, _ = holed()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(base64.b64decode(whole))
    lines = [{"image": whole, "into": "digits"}, {"image": whole, "to": "digits"}]
    (tmp_path / "in/b.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = predict_files(adapter, [tmp_path / "in"], tmp_path / "out", skip_bad=True)
    assert found.answered == 2
    assert found.bad == {f"{tmp_path}/in/b.jsonl:2": "unknown column 'to'; it takes: image, into"}
    rows = [json.loads(line) for line in (tmp_path / "out/answers.jsonl").read_text().splitlines()]
    assert [row["into"] for row in rows] == ["outlines", "digits"]
    for row in rows:
        wanted = asked(adapter, image=whole, into=row["into"])["image"]
        assert (tmp_path / "out" / row["image"]).read_bytes() == base64.b64decode(wanted)
