"""Arithmetic of a forward pass, against formulas by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from quintet.models import FAMILIES
from quintet.models.build import build_classifier, build_encoder
from quintet.training.work import flops

BATCH, TIME, SIZE, HIDDEN = 3, 7, 5, 4
GATES = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}


class First(nn.Module):
    """The first of what a recurrent network returns."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0]


def test_a_linear_layer_does_two_operations_for_each_weight_and_example():
    assert flops(nn.Linear(5, 4), torch.rand(3, 5)) == 2 * 3 * 5 * 4


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_does_its_kernel_at_every_place(groups):
    network = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups)
    assert flops(network, torch.rand(2, 4, 9, 11)) == 2 * 2 * (6 * 4 // groups * 9) * (5 * 6)


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_recurrent_network_reads_input_and_state_in_every_gate(kind, layers, ways, batch_first, device):
    network = kind(SIZE, HIDDEN, layers, bidirectional=ways == 2, batch_first=batch_first).to(device)
    example = torch.rand((BATCH, TIME, SIZE) if batch_first else (TIME, BATCH, SIZE), device=device)
    reads = (SIZE + HIDDEN) + (layers - 1) * (ways * HIDDEN + HIDDEN)
    assert flops(First(network), example) == 2 * BATCH * TIME * ways * GATES[kind] * HIDDEN * reads


@pytest.mark.parametrize("training", [True, False])
def test_an_encoder_layer_counts_its_attention_whatever_the_mode(training):
    d, hidden = 8, 16
    layer = nn.TransformerEncoderLayer(d, 2, hidden, batch_first=True).train(training)
    projections, attention, mlp = 4 * d * d, 2 * TIME * d, 2 * d * hidden
    assert flops(layer, torch.rand(BATCH, TIME, d)) == 2 * BATCH * TIME * (projections + attention + mlp)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_recurrent_work_on_text_is_the_same_packed_or_padded(name):
    def work(bidirectional):
        settings = {"hidden_size": 8, "bidirectional": bidirectional}
        return flops(build_encoder("rnn", name, "text", (16, 30, 0, 2), settings), torch.randint(3, 30, (2, 16)))

    assert work(bidirectional=True) == 2 * work(bidirectional=False) > 0


def test_work_grows_with_the_batch():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(3))
    one = flops(network, torch.rand(1, 1, 8, 8))
    assert flops(network, torch.rand(10, 1, 8, 8)) == 10 * one > 0


TINY = {"vit": {"patch_size": 4, "embed_dim": 16, "num_heads": 2, "num_layers": 1}, "resnet": {"width": 8}}
TINY |= {name: {"embed_dim": 16, "num_heads": 2, "num_layers": 1} for name in ("encoder", "bert")}


ENCODERS = [(f, n) for f, members in FAMILIES.items() for n, entry in members.items() if entry.contract == "encoder"]


@pytest.mark.parametrize(("family", "name"), ENCODERS)
def test_no_encoder_of_the_catalogue_works_for_nothing(family, name):
    model = {"family": family, "name": name, "settings": TINY.get(name, {})}
    if "image" in FAMILIES[family][name].inputs:
        network, example = build_classifier(model, "image", (1, 16, 16), 10), torch.rand(2, 1, 16, 16)
    else:
        network, example = build_classifier(model, "text", (16, 30, 0, 2), 10), torch.randint(3, 30, (2, 16))
    found = flops(network, example)
    # Each weight of a matrix or kernel is used once at least for each example, but for positions and tokens.
    weights = sum(
        p.numel()
        for m in network.modules()
        if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d | nn.RNNBase)
        for p in m.parameters()
    )
    assert found >= 1.8 * 2 * weights


class FromConstant(nn.Module):
    """A learnt constant, of which an inner layer gets a view, as in StyleGAN."""

    def __init__(self) -> None:
        super().__init__()
        self.constant, self.layer = nn.Parameter(torch.ones(1, 5)), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.constant.expand(len(x), -1))


def test_views_of_parameters_are_counted_like_other_inputs_and_stay_learnt():
    network = FromConstant()
    assert flops(network, torch.rand(3, 5)) == 2 * 3 * 5 * 4
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_measuring_leaves_no_trace():
    network = nn.Sequential(First(nn.LSTM(SIZE, HIDDEN)), nn.Dropout(0.5), nn.BatchNorm1d(TIME))
    network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(0)
    flops(network, torch.rand(BATCH, TIME, SIZE))
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert network.training
    assert all(part.training for part in network.modules())
    assert not network[0].inner._forward_hooks
    assert torch.backends.mha.get_fastpath_enabled()
    assert flops(network.eval(), torch.rand(BATCH, TIME, SIZE)) > 0
    assert not network.training


def test_a_network_that_fails_leaves_no_trace_either():
    network = First(nn.LSTM(SIZE, HIDDEN))
    with pytest.raises(RuntimeError):
        flops(network, torch.rand(BATCH, TIME, SIZE + 1))
    assert not network.inner._forward_hooks
    assert torch.backends.mha.get_fastpath_enabled()
    assert network.training
