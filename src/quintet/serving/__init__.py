"""Trained networks that take raw inputs and answer: behind MLflow's server, and for `quintet predict`.

An adapter knows one task on one kind of data: what a request holds, how it becomes the network's input, what is
answered. This table is free of torch and mlflow. To serve a new task: a file here with an `Adapter`, a line below.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from quintet.errors import UserError

if TYPE_CHECKING:
    from quintet.serving.adapter import Adapter

# (task, kind of data) -> class
ADAPTERS: dict[tuple[str, str], str] = {
    ("classification", "image"): "quintet.serving.image_classifier:ImageClassifier",
    ("classification", "text"): "quintet.serving.text_classifier:TextClassifier",
    ("tagging", "text"): "quintet.serving.entity_tagger:EntityTagger",
    ("answering", "text"): "quintet.serving.question_answerer:QuestionAnswerer",
    ("pretraining", "text"): "quintet.serving.masked_words:MaskedWordFiller",
    ("generation", "image"): "quintet.serving.image_maker:ImageMaker",
    ("inpainting", "image"): "quintet.serving.image_repairer:ImageRepairer",
    ("style_transfer", "image"): "quintet.serving.image_restyler:ImageRestyler",
}


def can_serve(task: str, kind: str) -> bool:
    """Whether a network of this task, trained on data of this kind, can be served."""
    return (task, kind) in ADAPTERS


def make_adapter(settings: Mapping[str, Any], spec: Mapping[str, Any]) -> Adapter:
    """The adapter for a run, from its settings.json and its data's spec.json; nothing is loaded yet."""
    task, kind = settings["task"], spec["kind"]
    if not can_serve(task, kind):
        served = ", ".join(f"{t} of {k} data" for t, k in ADAPTERS)
        raise UserError("serving", f"{task} of {kind} data can not be served yet", f"what can: {served}")
    module, _, name = ADAPTERS[task, kind].partition(":")
    made: Adapter = getattr(importlib.import_module(module), name)(settings, spec)
    return made
