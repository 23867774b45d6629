"""A mistake of the user's is one line that says where, what, and what would be right."""

from __future__ import annotations

import pickle

import pytest

from quintet.errors import UserError, unknown


def test_says_where_what_and_what_would_be_right():
    assert str(UserError("params.yaml:3: seeds", "there are none", "give one")) == (
        "params.yaml:3: seeds: there are none; give one"
    )
    assert str(UserError("params.yaml", "is empty")) == "params.yaml: is empty"
    assert str(UserError("git", "failed:\n  no such branch\r\n")) == "git: failed: no such branch "


@pytest.mark.parametrize("wild", ["a\nb", "a \r\n b", "a\u2028b", "a\x0bb", "a\x1b[31mb", "a\ud800b"], ids=ascii)
def test_is_one_printable_line_whatever_it_quotes(wild):
    text = str(UserError(wild, wild, wild))
    assert text.isprintable()
    assert text.encode("utf8").decode().splitlines() == [text]


def test_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(UserError("where", "what", "right")))
    assert (error.where, error.what, error.right) == ("where", "what", "right")


def test_an_unknown_name_brings_the_nearest_and_all_others():
    assert str(unknown("model.name", "model", "letnet", ["vgg", "lenet"])) == (
        "model.name: unknown model 'letnet'; did you mean 'lenet'? it takes: lenet, vgg"
    )


def test_a_name_like_no_other_brings_no_guess():
    assert str(unknown("x", "model", "zzzz", ["lenet"])) == "x: unknown model 'zzzz'; it takes: lenet"
    assert str(unknown("x", "model", "zzzz", [])) == "x: unknown model 'zzzz'; it takes: none"


def test_a_name_of_a_thousand_letters_is_cut():
    assert len(str(unknown("x", "model", "z" * 1000, ["lenet"]))) < 150
