"""BERT against transformers' own, with the same weights, and checkpoints read into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    GPT2Config,
    PreTrainedModel,
)

from quintet.models.bert.bert import BERT
from quintet.models.bert.pretrained import from_transformers, load_pretrained
from quintet.models.build import build_encoder
from quintet.models.heads import Classifier, PreTraining, SpanPicker, Tagger
from quintet.models.layers.words import segments
from quintet.models.transformer.encoder import attention_weights

SHAPE = (12, 50, 0, 2)  # longest, vocabulary, [PAD], [SEP]
SETTINGS: dict[str, Any] = {"embed_dim": 16, "num_layers": 3, "num_heads": 4, "mlp_ratio": 2.0}
SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 20,
}
# A pair, a pair that is padded, and a single text that is padded.
TOKENS = torch.tensor(
    [
        [1, 7, 9, 5, 2, 8, 8, 7, 4, 6, 11, 2],
        [1, 7, 9, 2, 18, 45, 44, 2, 0, 0, 0, 0],
        [1, 30, 31, 32, 33, 2, 0, 0, 0, 0, 0, 0],
    ]
)
MASK = TOKENS != 0
SEGMENTS = torch.tensor([[0] * 5 + [1] * 7, [0] * 4 + [1] * 4 + [0] * 4, [0] * 12])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def ours() -> BERT:
    bert = build_encoder("bert", "bert", "text", SHAPE, SETTINGS)
    assert isinstance(bert, BERT)
    return bert.eval()


def theirs(cls: type[PreTrainedModel], **config: Any) -> Any:
    """A reference with weights, biases and scales that all matter."""
    model = cls(BertConfig(**SIZES, **config, attn_implementation="eager")).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(0.2 * torch.randn_like(parameter)) if "LayerNorm" not in name else parameter.uniform_(
                0.5, 1.5
            )
    return model


def asked(model: Any, **more: Any) -> Any:
    with torch.no_grad():
        return model(TOKENS, attention_mask=MASK.long(), token_type_ids=SEGMENTS, **more)


def with_weights_of(bert: BERT, reference: Any) -> BERT:
    state = from_transformers(reference.state_dict(), num_layers=3)
    state["position_embedding.weight"] = state["position_embedding.weight"][:12]
    if "pooler.weight" not in state:  # a reference for tagging or spans has none
        state |= {name: value for name, value in bert.state_dict().items() if name.startswith("pooler")}
    bert.load_state_dict(state)
    return bert


def head_like(layer: nn.Linear, reference: nn.Linear) -> None:
    layer.load_state_dict(reference.state_dict())


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_encoder_is_theirs() -> None:
    reference = theirs(BertModel)
    expected = asked(reference)
    with torch.no_grad():
        found = with_weights_of(ours(), reference)(TOKENS)
    assert_close(found.positions[MASK], expected.last_hidden_state[MASK])
    assert_close(found.pooled, expected.pooler_output)


def test_attention_is_theirs() -> None:
    reference = theirs(BertModel)
    expected = torch.stack(asked(reference, output_attentions=True).attentions)
    found = attention_weights(with_weights_of(ours(), reference), TOKENS)
    assert found.shape == (3, 3, 4, 12, 12)
    by_query = found.permute(1, 3, 0, 2, 4), expected.permute(1, 3, 0, 2, 4)
    assert_close(*(weights[MASK] for weights in by_query))


def test_classifier_is_theirs() -> None:
    reference = theirs(BertForSequenceClassification, num_labels=3)
    model = Classifier(with_weights_of(ours(), reference.bert), 3)
    head_like(model.head, reference.classifier)
    assert_close(model(TOKENS), asked(reference).logits)


def test_tagger_is_theirs() -> None:
    reference = theirs(BertForTokenClassification, num_labels=5)
    model = Tagger(with_weights_of(ours(), reference.bert), 5)
    head_like(model.head, reference.classifier)
    assert_close(model(TOKENS)[MASK], asked(reference).logits[MASK])


def test_spans_are_theirs() -> None:
    reference = theirs(BertForQuestionAnswering)
    model = SpanPicker(with_weights_of(ours(), reference.bert))
    head_like(model.head, reference.qa_outputs)
    expected, found = asked(reference), model(TOKENS)
    for mine, other in ((found.start, expected.start_logits), (found.end, expected.end_logits)):
        assert_close(mine[MASK], other[MASK])
        assert (mine[~MASK] == -torch.inf).all()


def test_pre_training_is_theirs() -> None:
    reference = theirs(BertForPreTraining)
    model = PreTraining(with_weights_of(ours(), reference.bert))
    predictions = reference.cls.predictions
    head_like(model.words.dense, predictions.transform.dense)
    model.words.norm.load_state_dict(predictions.transform.LayerNorm.state_dict())
    model.words.bias.data = predictions.bias.data
    head_like(model.next_sentence, reference.cls.seq_relationship)
    hidden = torch.zeros_like(MASK)
    hidden[0, [3, 7]] = hidden[1, 5] = True
    expected, found = asked(reference), model(TOKENS, hidden)
    assert_close(found.words, expected.prediction_logits[hidden])
    assert_close(found.next_sentence, expected.seq_relationship_logits)


def test_segments_change_after_the_first_separator() -> None:
    assert torch.equal(segments(TOKENS, 2)[MASK], SEGMENTS[MASK])


@pytest.mark.parametrize("embed_dim", [192, 768])
def test_weights_start_at_the_papers_deviation(embed_dim: int) -> None:
    bert = build_encoder("bert", "bert", "text", (8, 30, 0, 2), {"num_layers": 1, "embed_dim": embed_dim})
    for weight in (bert.token_embedding.weight, bert.pooler.weight, bert.encoder.blocks[0].attention.qkv.weight):
        assert weight.abs().max() <= 0.04
        assert weight.std().item() == pytest.approx(0.0176, rel=0.03)  # 0.02, cut at two deviations


def test_a_narrow_one_may_start_larger() -> None:
    settings = {"num_layers": 1, "embed_dim": 192, "initializer_range": 0.06}
    bert = build_encoder("bert", "bert", "text", (8, 30, 0, 2), settings)
    assert bert.pooler.weight.std().item() == pytest.approx(3 * 0.0176, rel=0.03)


def test_reads_a_checkpoint(tmp_path: Path) -> None:
    reference = theirs(BertForPreTraining)
    reference.save_pretrained(tmp_path)
    bert = ours()
    load_pretrained(bert, str(tmp_path))
    with torch.no_grad():
        assert_close(bert(TOKENS).pooled, asked(reference.bert).pooler_output)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"hidden_size": 8, "num_hidden_layers": 2}, "other sizes; set embed_dim: 8, num_layers: 2, mlp_ratio: 4.0"),
        ({"num_attention_heads": 2}, "set num_heads: 2"),
        ({"vocab_size": 60}, "has 60 tokens in the vocabulary, the data have 50; use the checkpoint's own tokenizer"),
        ({"pad_token_id": 1}, r"has 1 as the id of \[PAD\], the data have 0"),
        ({"max_position_embeddings": 8}, "knows 8 positions, and texts have up to 12 tokens"),
        ({"hidden_act": "relu"}, "is a variant of BERT, with activation relu instead of gelu"),
        ({"type_vocab_size": 1}, "with segments 1 instead of 2"),
        ({"layer_norm_eps": 1e-5}, "with layer_norm_eps 1e-05 instead of 1e-12"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path, config: dict[str, Any], complaint: str) -> None:
    BertConfig(**(SIZES | config)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=complaint):
        load_pretrained(ours(), str(tmp_path))


def test_no_checkpoint_of_bert_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no checkpoint"):
        load_pretrained(ours(), str(tmp_path))
    GPT2Config().save_pretrained(tmp_path / "gpt2")
    with pytest.raises(ValueError, match="is a gpt2 checkpoint, not one of BERT"):
        load_pretrained(ours(), str(tmp_path / "gpt2"))


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    BertConfig(**SIZES).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="can not be read"):
        load_pretrained(ours(), str(tmp_path))
    BertModel(BertConfig(**SIZES), add_pooling_layer=False).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"lacks weights: pooler\.dense\.bias, pooler\.dense\.weight"):
        load_pretrained(ours(), str(tmp_path))


def test_a_pickle_is_not_obeyed(tmp_path: Path) -> None:
    class Command:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "obeyed",)

    BertConfig(**SIZES).save_pretrained(tmp_path)
    torch.save({"embeddings.LayerNorm.weight": Command()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds more than numbers"):
        load_pretrained(ours(), str(tmp_path))
    assert not (tmp_path / "obeyed").exists()
