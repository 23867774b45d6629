"""The Transformer encoder: against torch's, and what masks promise."""

import pytest
import torch
from torch import nn

from quintet.models.transformer.encoder import Block, Encoder


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def encoder(*, causal: bool = False) -> Encoder:
    return Encoder(16, num_layers=2, num_heads=4, mlp_dim=32, norm="pre", causal=causal).eval()


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_block_is_torchs_encoder_layer(norm: str, activation: str, causal: bool, padded: bool) -> None:
    theirs = nn.TransformerEncoderLayer(
        16, nhead=4, dim_feedforward=32, activation=activation, norm_first=norm == "pre", batch_first=True
    ).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    ours = Block(16, num_heads=4, mlp_dim=32, norm=norm, activation=activation, causal=causal).eval()
    copy = {
        "norm1": theirs.norm1,
        "norm2": theirs.norm2,
        "feed_forward.inner": theirs.linear1,
        "feed_forward.outer": theirs.linear2,
        "attention.out": theirs.self_attn.out_proj,
    }
    for name, module in copy.items():
        ours.get_submodule(name).load_state_dict(module.state_dict())
    attention = theirs.self_attn
    ours.attention.qkv.load_state_dict({"weight": attention.in_proj_weight, "bias": attention.in_proj_bias})

    tokens = torch.randn(3, 6, 16)
    mask = torch.arange(6) < torch.tensor([[6], [4], [1]]) if padded else None
    expected = theirs(
        tokens,
        src_mask=torch.ones(6, 6, dtype=torch.bool).triu(1) if causal else None,
        src_key_padding_mask=None if mask is None else ~mask,
    )
    torch.testing.assert_close(ours(tokens, mask), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_causal_attention_ignores_the_future(masked: bool) -> None:
    model, tokens = encoder(causal=True), torch.randn(2, 7, 16)
    mask = torch.ones(2, 7, dtype=torch.bool) if masked else None
    changed = tokens.clone()
    changed[:, 4:] = torch.randn(2, 3, 16)
    before, after = model(tokens, mask), model(changed, mask)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4], before[:, 4])


def test_without_a_causal_mask_the_future_counts() -> None:
    model, tokens = encoder(), torch.randn(2, 7, 16)
    changed = tokens.clone()
    changed[:, -1] += 1
    assert not torch.allclose(model(changed)[:, 0], model(tokens)[:, 0])


@pytest.mark.parametrize("causal", [False, True])
def test_padding_changes_nothing(causal: bool) -> None:
    model, tokens = encoder(causal=causal), torch.randn(2, 4, 16)
    padded = torch.cat([tokens, 100 * torch.randn(2, 3, 16)], dim=1)
    mask = (torch.arange(7) < 4).expand(2, 7)
    torch.testing.assert_close(model(padded, mask)[:, :4], model(tokens))


def test_a_row_that_is_all_padding_stays_finite() -> None:
    tokens = torch.randn(2, 3, 16, requires_grad=True)
    out = encoder()(tokens, torch.tensor([[True, True, True], [False, False, False]]))
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(tokens.grad).all()


def test_dropout_acts_in_training_only() -> None:
    model = Encoder(16, num_layers=1, num_heads=4, mlp_dim=32, dropout=0.0, attention_dropout=0.5)
    tokens = torch.randn(2, 5, 16)
    assert not torch.allclose(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))
