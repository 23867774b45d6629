"""Augmentation without networks that make images: the real ones alone, or shifted and turned."""

from __future__ import annotations

from quintet.baselines import Fitted
from quintet.data.spec import Split
from quintet.tasks.augmentation import Augmentation
from quintet.tasks.augmentation.classifier import teach
from quintet.training.settings import Augment

_TITLES = {"real-alone": "Real images alone", "shifted-and-turned": "Real images, shifted and turned"}
# Shifts by an eighth of the side, as CIFAR's usual four pixels of 32 (He et al. 2016, sec. 4.2); degrees.
_SHIFT, _TURN = 8, 15.0


def fit(name: str, objective: Augmentation, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of TASKS["augmentation"]."""
    changes, settings = None, {}
    if name == "shifted-and-turned":
        settings = {"crop": max(1, min(objective.spec.shape[1:]) // _SHIFT), "rotate": _TURN}
        changes = objective.inputs.augmentation(Augment.model_validate(settings))
    classifier = teach(objective.spec, train, objective.seed, changes=changes)
    return Fitted(_TITLES[name], lambda split: objective.say(classifier, split), settings, classifier.parameters)
