"""Pre-training: BERT's two objectives, hidden words and whether a sentence follows (Devlin et al. 2019, sec. 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quintet.data.spec import Split
from quintet.evaluation.statistics import Figure, Floats, Mean, Measure, Ratio
from quintet.models.build import build_encoder
from quintet.models.heads import PreTraining
from quintet.tasks.objective import Objective, Predictions
from quintet.training.settings import Training
from quintet.training.texts import TextInputs

# Which share of tokens is to be guessed; of these 80 % are hidden, 10 % exchanged, 10 % left as they are.
CHOSEN, HIDDEN, EXCHANGED = 0.15, 0.8, 0.1


class Pretraining(Objective):
    """Networks give logits of the tokens at chosen places, and of whether b follows a.

    Which places are chosen is drawn anew at every training step; in prediction it is drawn once and the same
    for every network, so that all guess the same words.
    """

    inputs: TextInputs

    def network(self, model: Mapping[str, Any]) -> nn.Module:
        return PreTraining(
            build_encoder(model["family"], model["name"], self.inputs.kind, self.inputs.shape, model["settings"])
        )

    def called(self, network: nn.Module) -> nn.Module:
        return _WithChosen(network)

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor, training: Training) -> Tensor:
        shown, chosen = self.hide(inputs)
        words, follows = network(shown, chosen)
        # Of a batch of short texts nothing may be chosen; the mean of nothing would be no number.
        guessed = F.cross_entropy(words, inputs[chosen], reduction="sum") / max(1, int(chosen.sum()))
        return guessed + F.cross_entropy(follows, targets)

    def hide(self, tokens: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Tokens [row time] with some hidden or exchanged, and a mask [row time] of those to be guessed (A.1)."""
        marks, device = self.inputs.marks, tokens.device
        first_word, vocabulary = marks.mask + 1, self.inputs.shape[1]
        # Special tokens are never guessed. Ours have the lowest ids; another tokenizer's are named.
        special = torch.tensor([marks.pad, marks.first, marks.separator], device=device)
        draw = torch.rand(tokens.shape, generator=generator, device=device)
        chosen = (draw < CHOSEN) & ~torch.isin(tokens, special)
        way = draw / CHOSEN  # uniform again among the chosen
        words = torch.randint(first_word, vocabulary, tokens.shape, generator=generator, device=device)
        shown = torch.where(chosen & (way < HIDDEN), marks.mask, tokens)
        return torch.where(chosen & (way >= HIDDEN) & (way < HIDDEN + EXCHANGED), words, shown), chosen

    @torch.inference_mode()
    def predict(self, network: nn.Module, split: Split, device: torch.device) -> Predictions:
        assert not network.training
        shown, chosen = self.hide(torch.from_numpy(split.inputs.astype(np.int64)), torch.Generator().manual_seed(0))
        hits, nll, follows_nll, right = (np.zeros(len(split)) for _ in range(4))
        for rows in self.inputs.batches(split):
            tokens, targets = self.inputs.collate(split, rows)
            time = tokens.shape[1]
            where = chosen[rows, :time]
            words, follows = network(shown[rows, :time].to(device), where.to(device))
            hidden = tokens[where]
            losses = F.cross_entropy(words.float().cpu(), hidden, reduction="none").numpy()
            row = np.repeat(rows, where.sum(1).numpy())
            np.add.at(nll, row, losses)
            np.add.at(hits, row, (words.argmax(-1).cpu() == hidden).numpy())
            follows_nll[rows] = F.cross_entropy(follows.float().cpu(), targets, reduction="none").numpy()
            right[rows] = (follows.argmax(-1).cpu() == targets).numpy()
        return self.predictions(split, hits, chosen.sum(1).double().numpy(), nll, follows_nll, right)

    def predictions(
        self, split: Split, hits: Floats, chosen: Floats, nll: Floats, follows_nll: Floats, right: Floats
    ) -> Predictions:
        """From what each row's chosen words and its pair came to; all arrays are [row]."""
        names = np.array(self.spec.classes)
        follows = np.where(right > 0, split.targets, 1 - split.targets)
        # A document gives several pairs.
        ids = np.array([f"{name}/{number}" for number, name in enumerate(split.ids)])
        return Predictions(
            ids=ids,
            target=names[split.targets],
            prediction=names[follows],
            score=hits,
            weight=chosen,
            right=right > 0,
            loss=float(nll.sum() / max(1.0, chosen.sum()) + follows_nll.mean()),
            more={"nll": nll, "follows_nll": follows_nll},
        )

    def measures(self, found: Predictions) -> dict[str, Measure]:
        per_word = Ratio(found.more["nll"], found.weight)
        return {
            "masked_accuracy": Ratio(found.score, found.weight),
            "next_accuracy": Mean(found.right.astype(np.float64)),
            "perplexity": Figure(lambda weights: np.exp(per_word(weights)), (1.0, np.inf)),
        }


class _WithChosen(nn.Module):
    """The network asked for every seventh word, about as many as in training."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Any:
        chosen = torch.zeros_like(tokens, dtype=torch.bool)
        chosen[:, 1::7] = True
        return self.network(tokens, chosen)
