"""Published BERT checkpoints, read by transformers' own from_pretrained, into our BERT.

No pickle is obeyed on the way: a checkpoint is safetensors, or is read by torch with `weights_only`. `transformers` is
imported when a checkpoint is asked for and not before.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor

from quintet.models.bert.bert import BERT
from quintet.models.transformer.encoder import Block

_OURS = {
    "embeddings.word_embeddings": "token_embedding",
    "embeddings.position_embeddings": "position_embedding",
    "embeddings.token_type_embeddings": "segment_embedding",
    "embeddings.LayerNorm": "norm",
    "pooler.dense": "pooler",
}
_OURS_IN_BLOCK = {
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "feed_forward.inner",
    "output.dense": "feed_forward.outer",
    "output.LayerNorm": "norm2",
}


class Checkpoint(NamedTuple):
    """A published BERT: the settings that its sizes are, its weights by their names in `BERT`, its tokenizer.json."""

    settings: dict[str, Any]
    weights: dict[str, Tensor]
    tokenizer: str


def read_checkpoint(source: str) -> Checkpoint:
    """The checkpoint `source`, a folder or a name on the Hugging Face hub; raises ValueError where that fails."""
    from transformers import AutoTokenizer

    config = _config(source)
    if config.model_type != "bert":
        raise ValueError(f"'{source}' is a {config.model_type} checkpoint, not one of BERT")
    settings = {
        "embed_dim": config.hidden_size,
        "num_layers": config.num_hidden_layers,
        "num_heads": config.num_attention_heads,
        "mlp_ratio": config.intermediate_size / config.hidden_size,
        "dropout": config.hidden_dropout_prob,
        "attention_dropout": config.attention_probs_dropout_prob,
    }
    try:
        tokenizer = AutoTokenizer.from_pretrained(source).backend_tokenizer
    except Exception as e:  # it raises errors of many types
        raise ValueError(f"the tokenizer of '{source}' can not be read: {str(e).splitlines()[0]}") from e
    separator, tokens = tokenizer.token_to_id("[SEP]"), tokenizer.get_vocab_size()
    # Where a checkpoint has no tokenizer, transformers makes one of five tokens.
    if separator is None or tokens != config.vocab_size:
        what = f"has {tokens} tokens, the network {config.vocab_size}"
        raise ValueError(f"the tokenizer of '{source}' is missing or another network's: it {what}")
    bert = BERT((config.max_position_embeddings, config.vocab_size, config.pad_token_id, separator), **settings)
    load_pretrained(bert, source)
    return Checkpoint(settings, bert.state_dict(), tokenizer.to_str())


def _config(source: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as e:
        raise ValueError(f"there is no checkpoint '{source}', here or on the hub: {str(e).splitlines()[0]}") from e


def load_pretrained(bert: BERT, source: str) -> None:
    """Give `bert` the weights of the checkpoint `source`, a folder or a name on the Hugging Face hub.

    The checkpoint may know longer texts; its first positions are taken then. Raises ValueError where there is no such
    checkpoint, and where it is not a network of the same sizes.
    """
    from transformers import BertModel

    config = _config(source)
    _check(bert, config, source)
    try:
        theirs, report = BertModel.from_pretrained(
            source, config=config, dtype=torch.float32, weights_only=True, output_loading_info=True
        )
    except pickle.UnpicklingError as e:
        raise ValueError(
            f"the weights of '{source}' are a pickle that holds more than numbers; it is not opened"
        ) from e
    except (OSError, RuntimeError, SafetensorError) as e:
        raise ValueError(f"the weights of '{source}' can not be read: {str(e).splitlines()[0]}") from e
    if report["missing_keys"]:
        raise ValueError(f"'{source}' lacks weights: {', '.join(sorted(report['missing_keys']))}")
    state = from_transformers(theirs.state_dict(), config.num_hidden_layers)
    state["position_embedding.weight"] = state["position_embedding.weight"][: bert.position_embedding.num_embeddings]
    bert.load_state_dict(state)


def from_transformers(state: Mapping[str, Tensor], num_layers: int) -> dict[str, Tensor]:
    """The weights of a transformers.BertModel under the names they have in `BERT`."""
    names = dict(_OURS)
    for i in range(num_layers):
        names |= {
            f"encoder.layer.{i}.{theirs}": f"encoder.blocks.{i}.{ours}" for theirs, ours in _OURS_IN_BLOCK.items()
        }
    renamed = {
        f"{ours}.{part}": state[f"{theirs}.{part}"]
        for theirs, ours in names.items()
        for part in ("weight", "bias")
        if f"{theirs}.{part}" in state
    }
    for i in range(num_layers):
        for part in ("weight", "bias"):
            three = [state[f"encoder.layer.{i}.attention.self.{which}.{part}"] for which in ("query", "key", "value")]
            renamed[f"encoder.blocks.{i}.attention.qkv.{part}"] = torch.cat(three)
    return renamed


def _check(bert: BERT, config: Any, source: str) -> None:
    """Raises ValueError at the first size in which the checkpoint is another network, with what would fit."""
    if config.model_type != "bert":
        raise ValueError(f"'{source}' is a {config.model_type} checkpoint, not one of BERT")
    block = bert.encoder.blocks[0]
    assert isinstance(block, Block)
    settings = (
        ("embed_dim", bert.pooled_dim, config.hidden_size),
        ("num_layers", len(bert.encoder.blocks), config.num_hidden_layers),
        ("num_heads", block.attention.num_heads, config.num_attention_heads),
        (
            "mlp_ratio",
            block.feed_forward.inner.out_features / bert.pooled_dim,
            config.intermediate_size / config.hidden_size,
        ),
    )
    wrong = [f"{name}: {theirs}" for name, ours, theirs in settings if ours != theirs]
    if wrong:
        raise ValueError(f"'{source}' is a network of other sizes; set {', '.join(wrong)}")
    for what, ours, theirs in (
        ("tokens in the vocabulary", bert.token_embedding.num_embeddings, config.vocab_size),
        ("as the id of [PAD]", bert.pad, config.pad_token_id),
    ):
        if ours != theirs:
            raise ValueError(
                f"'{source}' has {theirs} {what}, the data have {ours}; use the checkpoint's own tokenizer"
            )
    longest, known = bert.position_embedding.num_embeddings, config.max_position_embeddings
    if longest > known:
        raise ValueError(f"'{source}' knows {known} positions, and texts have up to {longest} tokens; cut them shorter")
    for what, only, found in (
        ("segments", bert.segment_embedding.num_embeddings, config.type_vocab_size),
        ("activation", "gelu", config.hidden_act),
        ("layer_norm_eps", bert.norm.eps, config.layer_norm_eps),
    ):
        if found != only:
            raise ValueError(f"'{source}' is a variant of BERT, with {what} {found} instead of {only}")
