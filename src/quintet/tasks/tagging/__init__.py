"""Tagging: a tag for each word of a sentence, learnt by cross-entropy, ranked by the F1 of whole entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.data.spec import Split
from quintet.evaluation.statistics import Measure, Ratio
from quintet.models.build import build_encoder
from quintet.models.heads import Tagger
from quintet.tasks.objective import Objective, Predictions, Said
from quintet.tasks.tagging.entities import count_entities, entities
from quintet.training.settings import Training
from quintet.training.texts import TextSplit


class Tagged(NamedTuple):
    """The likeliest tag of each word of each sentence, its probability, and the mean negative log-likelihood."""

    tags: list[list[str]]
    probabilities: list[list[float]]
    loss: float


class Tagging(Objective):
    """Networks give logits [row time tag]; a word has the tag of its first piece (Devlin et al. 2019, sec. 5.3)."""

    def network(self, model: Mapping[str, Any]) -> nn.Module:
        encoder = build_encoder(model["family"], model["name"], self.inputs.kind, self.inputs.shape, model["settings"])
        return Tagger(encoder, len(self.spec.classes))

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor, training: Training) -> Tensor:
        return F.cross_entropy(
            network(inputs).flatten(0, 1), targets.flatten(), label_smoothing=training.label_smoothing
        )

    def predict(self, network: nn.Module, split: Split, device: torch.device) -> Predictions:
        assert isinstance(split, TextSplit)
        found = self.tag(network, split, device)
        return self.predictions(found.tags, split, found.loss)

    def tag(self, network: nn.Module, split: TextSplit, device: torch.device) -> Tagged:
        """A tag for each word of each sentence."""
        words, examples = split.encoded.words, split.encoded.examples
        tags = [["O"] * len(sentence) for sentence in split.texts["words"]]
        probabilities = [[0.0] * len(sentence) for sentence in split.texts["words"]]
        nll, count = 0.0, 0
        for rows, logits, targets in self.outputs(network, split, device):
            log_probabilities = F.log_softmax(logits.float(), -1).cpu()
            nll += float(F.nll_loss(log_probabilities.flatten(0, 1), targets.flatten(), reduction="sum"))
            count += int((targets >= 0).sum())
            likeliest, best = (found.numpy() for found in log_probabilities.exp().max(-1))
            for row, sure, chosen in zip(rows, likeliest, best, strict=True):
                for place in np.flatnonzero(words[row, : len(chosen)] >= 0):
                    tags[examples[row]][words[row, place]] = self.spec.classes[chosen[place]]
                    probabilities[examples[row]][words[row, place]] = float(sure[place])
        return Tagged(tags, probabilities, nll / max(1, count))

    def predictions(self, tags: Sequence[Sequence[str]], split: TextSplit, loss: float) -> Predictions:
        """From a tag for each word of each sentence."""
        words, truth = split.texts["words"], split.texts["tags"]
        counts = np.array([count_entities(t, p) for t, p in zip(truth, tags, strict=True)], np.float64)
        found, said, there = counts.T
        same = np.array([sum(a == b for a, b in zip(t, p, strict=True)) for t, p in zip(truth, tags, strict=True)])
        return Predictions(
            ids=np.array(split.texts.ids),
            target=np.array([_in_words(w, t) for w, t in zip(words, truth, strict=True)]),
            prediction=np.array([_in_words(w, t) for w, t in zip(words, tags, strict=True)]),
            score=2 * found,
            weight=said + there,
            right=np.array([list(t) == list(p) for t, p in zip(truth, tags, strict=True)]),
            loss=loss,
            more={
                "found": found,
                "said": said,
                "there": there,
                "words": np.array([len(w) for w in words], np.float64),
                "same": same.astype(np.float64),
            },
        )

    def said(self, output: Any, split: Split, rows: NDArray[np.int64]) -> list[Said]:
        """Of each row the surest tag of a word that is, or is said to be, part of an entity."""
        assert isinstance(split, TextSplit)
        confidence, tags = (part.numpy() for part in output.float().softmax(-1).max(-1))
        classes = np.array(self.spec.classes)
        said = []
        for row, sure, chosen in zip(rows.tolist(), confidence, tags, strict=True):
            truth = split.targets[row, : len(chosen)]
            places = np.flatnonzero(split.encoded.words[row, : len(chosen)] >= 0)
            places = places[(classes[chosen[places]] != "O") | (classes[truth[places]] != "O")]
            if len(places):
                place = int(places[sure[places].argmax()])
                number = int(chosen[place])
                said.append(
                    Said(
                        row=row,
                        answer=str(classes[number]),
                        truth=str(classes[truth[place]]),
                        right=number == int(truth[place]),
                        confidence=float(sure[place]),
                        logit=itemgetter((slice(None), place, number)),
                        about=(place,),
                    )
                )
        return said

    def quotes(self, split: Split) -> dict[str, list[str]]:
        assert isinstance(split, TextSplit)
        return {"id": split.texts.ids, "text": [" ".join(words) for words in split.texts["words"]]}

    def measures(self, found: Predictions) -> dict[str, Measure]:
        more = found.more
        return {
            "entity_f1": Ratio(found.score, found.weight),
            "entity_precision": Ratio(more["found"], more["said"]),
            "entity_recall": Ratio(more["found"], more["there"]),
            "word_accuracy": Ratio(more["same"], more["words"]),
        }


def _in_words(words: Sequence[str], tags: Sequence[str]) -> str:
    """The entities that tags make of a sentence, such as 'renal failure (Disease); …'."""
    return "; ".join(f"{' '.join(words[e.start : e.end])} ({e.kind})" for e in entities(tags)) or "none"
