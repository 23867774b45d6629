"""TextCNN. Kim 2014, Convolutional Neural Networks for Sentence Classification (arXiv:1408.5882), sec. 2.

The variant is the paper's CNN-rand: word vectors are drawn, not read from word2vec. We differ:
- Windows may hang over the ends of a text, as in the paper's code (`yoonkim/CNN_sentence:process_data.py`, which puts
  four zeros before it), but by half their width: there is then one feature per token and map. The paper needs their
  maximum over time alone; the features per token, for tagging and question answering, are our extension.
- The norm of the class weights is not bounded (sec. 2.1); Zhang and Wallace 2015, A Sensitivity Analysis of
  Convolutional Neural Networks for Sentence Classification, sec. 4.7, find that it matters little.
- Weights are drawn as by He et al. 2015, for the ReLU after them; word vectors from +-0.25, as in the paper's code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt, Probability
from quintet.models.cnn.fits import textcnn_fits
from quintet.models.layers.encoded import Encoded
from quintet.models.layers.words import TextShape


class Windows(nn.Conv1d):
    """A convolution with one output per token: the window of width w at token t begins at t - (w - 1) // 2."""

    def forward(self, vectors: Float[Tensor, "batch embed_dim time"]) -> Float[Tensor, "batch map time"]:
        (width,) = self.kernel_size
        return super().forward(F.pad(vectors, ((width - 1) // 2, width // 2)))


class TextCNN(nn.Module):
    """Convolutions of several `widths` (in tokens) side by side over word vectors, `num_maps` maps each."""

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        *,
        embed_dim: PositiveInt = 300,
        widths: tuple[PositiveInt, ...] = (3, 4, 5),
        num_maps: PositiveInt = 100,
        dropout: Probability = 0.5,
    ) -> None:
        super().__init__()
        problem = textcnn_fits({"widths": widths}, shape)
        if problem:
            raise ValueError(problem)
        text = TextShape(*shape)
        self.pad = text.pad
        self.token_embedding = nn.Embedding(text.vocabulary, embed_dim, padding_idx=text.pad)
        convolutions = [Windows(embed_dim, num_maps, width) for width in widths]
        self.convolutions = nn.ModuleList(convolutions)
        self.dropout = nn.Dropout(dropout)
        self.pooled_dim = self.position_dim = num_maps * len(widths)
        nn.init.uniform_(self.token_embedding.weight, -0.25, 0.25)
        with torch.no_grad():
            self.token_embedding.weight[text.pad] = 0.0  # so that a window sees past the end what it sees in padding
        for convolution in convolutions:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Encoded:
        vectors = rearrange(self.token_embedding(tokens), "b t d -> b d t")
        maps = torch.cat([convolution(vectors) for convolution in self.convolutions], dim=1)
        # A rectified feature is at least 0, so zeros in padding never win the maximum over time.
        features = rearrange(F.relu(maps), "b m t -> b t m") * (tokens != self.pad)[:, :, None]
        return Encoded(self.dropout(features.amax(1)), self.dropout(features))
