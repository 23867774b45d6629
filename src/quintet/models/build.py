"""From names and settings to networks."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from quintet.models import member
from quintet.models.heads import Classifier
from quintet.models.layers.rows import Rows, rows_shape
from quintet.models.member import Member, Shape


def build_classifier(model: Mapping[str, Any], kind: str, shape: Shape, num_classes: int) -> Classifier:
    """The untrained classifier of an experiment's `model` settings (family, name, settings), sized to the data."""
    return Classifier(build_encoder(model["family"], model["name"], kind, shape, model["settings"]), num_classes)


def build_generator(model: Mapping[str, Any], shape: Shape, num_classes: int) -> nn.Module:
    """The untrained generator of images of `shape`, with all that it needs to learn (see `layers.generative`)."""
    entry = member(model["family"], model["name"])
    assert entry.contract == "generator", model
    generator: nn.Module = _class(entry)(shape, num_classes, **entry.settings(model["settings"]))
    return generator


def build_translator(model: Mapping[str, Any], shape: Shape) -> nn.Module:
    """The untrained translator between images of `shape`, or between two domains of them, likewise."""
    entry = member(model["family"], model["name"])
    assert entry.contract in ("translator", "stylist"), model
    translator: nn.Module = _class(entry)(shape, **entry.settings(model["settings"]))
    return translator


def build_encoder(family: str, name: str, kind: str, shape: Shape, settings: Mapping[str, Any]) -> nn.Module:
    """The encoder, sized to examples of `shape` and of `kind` ('image', 'series' or 'text').

    Its output is an `Encoded` (see `layers.encoded`). A series encoder reads an image row by row.
    """
    entry = member(family, name)
    assert entry.contract == "encoder", name
    build = _class(entry)
    complete = entry.settings(settings)
    if kind == "image" and entry.inputs[0] == "series":
        return Rows(build(rows_shape(shape), **complete))
    encoder: nn.Module = build(shape, **complete)
    return encoder


def _class(entry: Member) -> Any:
    module, _, name = entry.path.partition(":")
    return getattr(importlib.import_module(module), name)
