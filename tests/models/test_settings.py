"""The catalogue's tables and the settings read from the constructors' source."""

import importlib
import inspect
import re
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from quintet.errors import UserError
from quintet.models import FAMILIES, member
from quintet.models.build import build_encoder
from quintet.models.member import Member
from quintet.models.signature import settings_of

ENTRIES = [pytest.param(e, id=f"{f}-{n}") for f, members in FAMILIES.items() for n, e in members.items()]


def load(entry: Member) -> Any:
    module, _, name = entry.path.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("entry", ENTRIES)
def test_settings_are_those_of_the_constructor(entry: Member) -> None:
    _, shape, *settings = inspect.signature(load(entry).__init__).parameters.values()
    assert shape.name == "shape"
    if entry.contract == "generator":
        assert settings.pop(0).name == "num_classes"
    assert all(s.kind is s.KEYWORD_ONLY for s in settings)
    assert entry.settings({}) == {s.name: s.default for s in settings}


@pytest.mark.parametrize("entry", ENTRIES)
def test_defaults_keep_to_their_own_bounds(entry: Member) -> None:
    assert entry.settings(entry.settings({})) == entry.settings({})


@pytest.mark.parametrize("entry", ENTRIES)
def test_says_what_it_is(entry: Member) -> None:
    assert entry.titled(entry.settings({})).startswith(entry.title.split()[0].removesuffix("-5"))
    assert set(entry.inputs) <= {"image", "series", "text"}
    header = inspect.getdoc(importlib.import_module(entry.path.partition(":")[0]))
    assert header is not None
    author, year = entry.paper.split(",")[0].split()[0], next(w for w in entry.paper.split() if w[:4].isdigit())[:4]
    assert author in header
    assert year in header


@pytest.mark.parametrize(
    ("family", "name", "settings", "complaint"),
    [
        ("cnn", "resnet-cifar", {"dept": 20}, "dept\n  Extra inputs are not permitted"),
        ("cnn", "resnet-cifar", {"depth": 21}, "Input should be 8, 14, 20, 32, 44, 56 or 110"),
        ("cnn", "vgg", {"width": 0}, "greater than 0"),
        ("cnn", "vgg", {"batch_norm": 1}, "valid boolean"),
        ("cnn", "vgg", {"dropout": 1.0}, "less than 1"),
        ("transformer", "vit", {"mlp_ratio": float("inf")}, "finite number"),
        ("cnn", "lenet", {"activation": "gelu"}, "'tanh' or 'relu'"),
        ("rnn", "lstm", {"hidden_size": "128"}, "valid integer"),
        ("rnn", "lstm", {"num_layers": 1.5}, "valid integer"),
        ("rnn", "lstm", {"embed_dim": 0}, "greater than 0"),
        ("cnn", "textcnn", {"widths": (0,)}, "greater than 0"),
        ("transformer", "encoder", {"pooling": "last"}, "'mean' or 'cls'"),
    ],
)
def test_bad_settings_are_refused(family: str, name: str, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        member(family, name).settings(settings)
    with pytest.raises(ValidationError, match=complaint):
        build_encoder(family, name, "image", (1, 8, 8), settings)


@pytest.mark.parametrize(
    ("family", "name", "message"),
    [
        ("cmn", "lenet", r"model\.family: unknown family 'cmn'; did you mean 'cnn'\?"),
        ("cnn", "resnet_cifar", r"model\.name: unknown cnn model 'resnet_cifar'; did you mean 'resnet-cifar'\?"),
        ("cnn", "lstm", r"model\.family: 'lstm' is not of family 'cnn'; it is of family 'rnn'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_right_one(family: str, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        member(family, name)


def test_titles_tell_depths_apart() -> None:
    assert member("cnn", "resnet-cifar").titled({"depth": 56}) == "ResNet-56"
    assert member("cnn", "vgg").titled({"depth": 11}) == "VGG-11"
    assert member("rnn", "lstm").titled({"hidden_size": 128}) == "LSTM"


TEXT = (32, 100, 0, 1)


@pytest.mark.parametrize(
    ("family", "name", "settings", "shape", "sentence"),
    [
        ("rnn", "gru", {"embed_dim": 8}, TEXT, None),
        ("rnn", "gru", {}, (1, 8, 8), None),
        ("rnn", "gru", {"embed_dim": 8}, (1, 8, 8), "embed_dim 8 is the size of a text's word vectors; leave it out"),
        ("cnn", "textcnn", {"widths": ()}, TEXT, r"widths is empty; give at least one, such as \[3, 4, 5\]"),
        ("cnn", "textcnn", {"widths": (2, 40)}, TEXT, "a window of 40 tokens is wider than the longest text"),
        ("transformer", "encoder", {"embed_dim": 15, "num_heads": 3}, TEXT, "embed_dim 15 is odd, and sinusoidal"),
        ("transformer", "encoder", {"embed_dim": 15, "num_heads": 3, "positions": "learned"}, TEXT, None),
        ("transformer", "encoder", {"num_heads": 5}, TEXT, "num_heads 5 does not divide embed_dim 512; 1, 2, 4, 8 or"),
        ("bert", "bert", {"num_heads": 5}, TEXT, "num_heads 5 does not divide embed_dim 768; 1, 2, 3, 4, 6, 8, 12"),
    ],
)
def test_settings_that_do_not_go_with_the_data_are_refused(
    family: str, name: str, settings: dict[str, Any], shape: tuple[int, ...], sentence: str | None
) -> None:
    entry = member(family, name)
    reason = entry.fits(entry.settings(settings), shape)
    if sentence is None:
        assert reason is None
        return
    assert reason is not None
    assert re.match(sentence, reason)
    with pytest.raises(ValueError, match=sentence):
        build_encoder(family, name, "text" if len(shape) == 4 else "image", shape, settings)


@pytest.mark.parametrize(
    ("settings", "shape", "sentence"),
    [
        ({}, (1, 28, 28), "patch_size 16 does not divide images of 28 x 28; 1, 2, 4, 7, 14 or 28 would"),
        ({"patch_size": 3}, (1, 24, 40), "patch_size 3 does not divide images of 24 x 40; 1, 2, 4 or 8 would"),
        ({"num_heads": 5}, (3, 32, 32), "num_heads 5 does not divide embed_dim 768; 1, 2, 3, 4, 6, 8, 12 or 16 would"),
        ({"patch_size": 4}, (1, 8, 8), None),
    ],
)
def test_vit_says_what_would_fit(settings: dict[str, Any], shape: tuple[int, ...], sentence: str | None) -> None:
    entry = member("transformer", "vit")
    assert entry.fits(entry.settings(settings), shape) == sentence
    if sentence:
        with pytest.raises(ValueError, match=sentence):
            build_encoder("transformer", "vit", "image", shape, settings)


def test_the_catalogue_is_read_without_torch() -> None:
    code = (
        "import sys; from quintet.models import FAMILIES\n"
        "for members in FAMILIES.values():\n"
        "    for e in members.values(): e.titled(e.settings({})); e.fits(e.settings({}), (1, 8, 8))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_class_with_an_untyped_setting_or_no_constructor_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="no class"):
        settings_of("quintet.models.cnn.lenet:Lenet")
    with pytest.raises(AssertionError, match="needs an __init__ of its own"):
        settings_of("quintet.models.cnn.lenet:ScaledTanh")
