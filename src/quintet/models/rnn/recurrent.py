"""What the three recurrent networks share: all but the recurrence itself and how its weights are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from quintet.models.layers.encoded import Encoded
from quintet.models.layers.words import TextShape
from quintet.models.rnn.fits import recurrent_fits
from quintet.models.rnn.readout import ReadOut


class Recurrent(nn.Module):
    """One of torch's recurrences over a series, or over the word vectors of a text, read out as `pooling` says.

    `shape` is (time, feature) of a series or that of a text (`layers.words`). Of texts, word vectors have `embed_dim`
    features, or `hidden_size` where that is None. Dropout is that of Zaremba, Sutskever, Vinyals 2014 (fig. 2): on word
    vectors, between layers and after the last; a series' own features are left whole.
    """

    def __init__(
        self,
        recurrence: Callable[..., nn.RNNBase],
        shape: tuple[int, ...],
        *,
        hidden_size: int,
        embed_dim: int | None,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        pooling: Literal["last", "mean"],
        **more: str,
    ) -> None:
        super().__init__()
        problem = recurrent_fits({"embed_dim": embed_dim}, shape)
        if problem:
            raise ValueError(problem)
        if len(shape) == 2:
            step_dim = shape[1]
        else:
            text = TextShape(*shape)
            self.pad, step_dim = text.pad, embed_dim or hidden_size
            self.token_embedding = nn.Embedding(text.vocabulary, step_dim)
            self.dropout = nn.Dropout(dropout)
            nn.init.normal_(self.token_embedding.weight, std=1 / math.sqrt(step_dim))
        self.recurrence = recurrence(
            step_dim,
            hidden_size,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,
            **more,
        )
        self.readout = ReadOut(pooling, bidirectional=bidirectional, dropout=dropout)
        self.pooled_dim = self.position_dim = hidden_size * (2 if bidirectional else 1)

    def forward(self, inputs: Float[Tensor, "batch time feature"] | Int[Tensor, "batch time"]) -> Encoded:
        if inputs.is_floating_point():
            states, _ = self.recurrence(inputs)
            encoded: Encoded = self.readout(states)
        else:
            mask = inputs != self.pad
            # As in the Transformer (Vaswani et al. 2017, sec. 3.4): of size 1, like a standardised series, where they
            # are read, and small where a head shares them as its weights.
            vectors = self.token_embedding(inputs) * math.sqrt(self.token_embedding.embedding_dim)
            encoded = self.readout(self._read(self.dropout(vectors), mask), mask)
        return encoded

    def _read(
        self, vectors: Float[Tensor, "batch time feature"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time state"]:
        """The states over texts that end where `mask` does.

        Forwards, no state of a real token has seen what follows its text, so nothing needs to be done; on a CPU a step
        of LSTM then takes a third to two thirds of the time over packed texts. Backwards, reading must begin at each
        text's own end.
        """
        if not self.recurrence.bidirectional:
            states: Tensor = self.recurrence(vectors)[0]
            return states
        lengths = mask.sum(1).clamp(min=1).cpu()  # one step at least, which packing demands
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.recurrence(packed)[0], batch_first=True, total_length=vectors.shape[1])
        return states
