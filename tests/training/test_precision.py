"""The number format is chosen by a rule that looks at features and work, never at a clock."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from quintet.models.build import build_classifier
from quintet.training.precision import CONVOLUTION_GFLOP, OTHER_GFLOP, Precision, choose

IMAGE = torch.empty(2, 4, 8, 8)


def products(gflop: float) -> tuple[nn.Module, torch.Tensor]:
    """A network of matrix products alone and a batch that make this much work."""
    return nn.Linear(512, 512), torch.empty(round(gflop * 1e9 / (2 * 512 * 512)), 512, device="meta")


def convolutions(gflop: float) -> tuple[nn.Module, torch.Tensor]:
    work = 2 * 8 * 8 * 64 * 64 * 9
    return nn.Conv2d(64, 64, 3, padding=1), torch.empty(round(gflop * 1e9 / work), 64, 8, 8, device="meta")


def on_cpu(made: tuple[nn.Module, torch.Tensor]) -> Precision:
    network, example = made
    return choose("auto", network.to(example.device), example, on_gpu=False)


@pytest.fixture
def processor(monkeypatch):
    """Says what the processor of this test can do."""

    def can(avx512_bf16: bool, amx: bool = False) -> None:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)

    return can


@pytest.mark.parametrize(
    ("work", "least", "kind"),
    [(convolutions, CONVOLUTION_GFLOP, "convolutions"), (products, OTHER_GFLOP, "matrix products")],
    ids=["convolutions", "products"],
)
def test_work_decides_where_the_processor_has_the_units(processor, work, least, kind):
    processor(avx512_bf16=True)
    below, above = on_cpu(work(0.98 * least)), on_cpu(work(1.02 * least))
    assert (below.lightning, above.lightning) == ("32-true", "bf16-mixed")
    assert below.reason.endswith(f" GFLOP of {kind} a step are below {least:g}")
    assert above.reason.endswith(f" GFLOP of {kind} a step are at least {least:g}")


def test_without_the_units_no_work_is_enough(processor):
    processor(avx512_bf16=False)
    chosen = on_cpu(products(10 * OTHER_GFLOP))
    assert (chosen.lightning, chosen.reason) == ("32-true", "the processor has neither AVX512-BF16 nor AMX")


def test_amx_alone_is_enough(processor):
    processor(avx512_bf16=False, amx=True)
    assert on_cpu(products(2 * OTHER_GFLOP)).lightning == "bf16-mixed"


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_recurrent_networks_stay_in_fp32_on_a_cpu_however_large(kind, processor):
    processor(avx512_bf16=True)
    model = {"family": "rnn", "name": kind, "settings": {"hidden_size": 2048, "num_layers": 3}}
    with torch.device("meta"):
        network = build_classifier(model, "image", (1, 28, 28), 10)
        chosen = choose("auto", network, torch.empty(4096, 1, 28, 28), on_gpu=False)
    assert (chosen.lightning, "recurrent" in chosen.reason) == ("32-true", True)


def test_patches_of_a_vit_are_products_and_no_convolutions():
    settings = {"patch_size": 4, "embed_dim": 16, "num_heads": 2, "num_layers": 1}
    vit = build_classifier({"family": "transformer", "name": "vit", "settings": settings}, "image", (1, 8, 8), 3)
    chosen = choose("bf16-mixed", vit, torch.empty(2, 1, 8, 8), on_gpu=False)
    assert chosen.memory_format is torch.contiguous_format


def test_the_same_question_has_the_same_answer(processor):
    for bf16 in (True, False):
        processor(bf16)
        assert len({on_cpu(convolutions(gflop)) for gflop in (3.0, 3.0) for _ in range(3)}) == 1


@pytest.mark.parametrize("asked", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("on_gpu", [True, False])
@pytest.mark.parametrize("bf16", [True, False])
def test_what_is_asked_for_is_what_one_gets(asked, on_gpu, bf16, processor):
    processor(bf16)
    for network, example in (products(0.001), products(2 * OTHER_GFLOP)):
        chosen = choose(asked, network, example, on_gpu)
        assert (chosen.lightning, chosen.reason) == (asked, "as set")


@pytest.mark.parametrize("bf16", [True, False])
def test_a_gpu_is_asked_for_units_of_its_own_not_for_emulation(bf16, monkeypatch, processor):
    processor(avx512_bf16=False)
    asked = {True: True, False: bf16}  # emulation always can
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: asked[including_emulation])
    chosen = choose("auto", nn.GRU(4, 4), torch.empty(2, 3, 4), on_gpu=True)
    assert chosen.lightning == ("bf16-mixed" if bf16 else "32-true")


@pytest.mark.parametrize("asked", ["32-true", "bf16-mixed"])
def test_channels_lie_last_where_there_are_convolutions(asked):
    assert choose(asked, nn.Conv2d(4, 4, 3), IMAGE, on_gpu=False).memory_format is torch.channels_last
    assert choose(asked, nn.Linear(8, 8), IMAGE, on_gpu=False).memory_format is torch.contiguous_format


def test_the_written_rule_has_the_limits_that_hold():
    written = (Path(__file__).parents[2] / "docs" / "precision.md").read_text(encoding="utf8")
    assert f"| has convolutions | `bf16-mixed` from {CONVOLUTION_GFLOP:g} GFLOP a step" in written
    assert f"| any other | `bf16-mixed` from {OTHER_GFLOP:g} GFLOP a step" in written
