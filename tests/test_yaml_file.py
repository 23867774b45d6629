"""params.yaml means what DVC takes it to mean, and bad syntax is named by line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML, YAMLError

from quintet import yaml_file
from quintet.errors import UserError

SCALARS = """
on off yes no y n Yes NO True TRUE tRue null ~ Null nUll 'on' a.b 3,5 1.2.3 2020-01-01
1e-3 1E5 1e+3 1e999 1e 1e5.5 1e1_0 +1 -1 -0 00 1_000 0o17 017 010 08 0x1F 0xg 0b11 9223372036854775807 "1"
0. +.5 .5 5. 5.e3 -.5e1 -.5e+1 1_0.5 ._1 .inf -.inf .nan .NaN
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def ours(file: Path, text: str) -> Any:
    """What `load` makes of the text; its repr, so that 1, 1.0 and true differ and nan is itself."""
    file.write_text(text, encoding="utf8")
    try:
        return repr(yaml_file.load(file).content)
    except UserError:
        return None


def theirs(text: str) -> Any:
    try:
        return repr(YAML(typ="safe").load(text))
    except (YAMLError, ValueError):
        return None


@pytest.mark.parametrize("scalar", SCALARS.split())
def test_a_plain_word_or_number_means_what_dvc_takes_it_to_mean(file, scalar):
    text = f"a: {scalar}\nb: [{scalar}]\n"
    assert ours(file, text) == theirs(text) is not None


@pytest.mark.parametrize("scalar", ["1:30", "12:30:45", "190:20:30.15", "a:b", "http://x", "C:/photos"])
def test_colons_are_text_and_want_quotes_inside_brackets_as_for_dvc(file, scalar):
    text = f"a: {scalar}\n"
    assert ours(file, text) == theirs(text) == repr({"a": scalar})
    for text in (f"a: [{scalar}]\n", f"a: {{b: {scalar}}}\n", f"a: {{{scalar}: b}}\n"):
        assert theirs(text) is None
        file.write_text(text, encoding="utf8")
        with pytest.raises(UserError, match=f"write it in quotes: '{scalar}'"):
            yaml_file.load(file)
    text = f"a: ['{scalar}']\n"
    assert ours(file, text) == theirs(text) == repr({"a": [scalar]})


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("0123456789_.+-eExobBnyfaNtrul:", min_size=1, max_size=6))
@example("-_1")
@example("+_")
def test_any_scalar_means_what_dvc_takes_it_to_mean(file, scalar):
    text = f"a: {scalar}\n"
    found = ours(file, text)
    # Both may refuse; where it is a mapping to DVC it must be the same one here.
    assert found == theirs(text)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf8"))
)
documents = st.dictionaries(
    st.text("abcdefgh-", min_size=1, max_size=8),
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-1", min_size=1), inner)
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents, st.booleans())
def test_any_document_that_dvc_writes_is_read_back(file, document, flow):
    writer = YAML(typ="safe")
    writer.default_flow_style = flow
    with open(file, "w", encoding="utf8") as f:
        writer.dump(document, f)
    assert repr(yaml_file.load(file).content) == repr(writer.load(file.read_text(encoding="utf8")))


def test_a_place_has_the_line_of_the_nearest_key_that_is_there(file):
    file.write_text("a:\n  b:\n    - x\n    - {c: 1}\n\nd: 2\n", encoding="utf8")
    where = yaml_file.load(file).where
    assert where("a", "b") == f"{file}:2: a.b"
    assert where("a", "b", 1, "c") == f"{file}:4: a.b.1.c"
    assert where("a", "b", "z", "y") == f"{file}:2: a.b.z.y"
    assert where("d") == f"{file}:6: d"
    assert where("e") == f"{file}: e"
    assert where() == str(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", ":3:2: is not YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n  b: 2\n", ":2:4: is not YAML: mapping values are not allowed here"),
        ("a:\n\t- 1\n", ":2:1: is not YAML: found character '\\t' that cannot start any token"),
        ("a: 1\nb: 2\na: 3\n", ":3:1: 'a' is given twice, first on line 1; give each its own name"),
        ("e:\n  x: {}\n  y: {}\n  x: {}\n", ":4:3: 'e.x' is given twice, first on line 2; give each its own name"),
        ("a: *b\n", ":1:4: is not YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", ":2:1: is not YAML: but found another document"),
        ("? [a]\n: 1\n", ":1:3: is not YAML: found unhashable key"),
        ("a: !!python/object:os.system {}\n", ":1:4: is not YAML: could not determine a constructor"),
        ("a: 1\nb: 2020-13-45\n", ":2:4: is not YAML: '2020-13-45' is no timestamp (month must be in 1..12)"),
        ("a: !!int x\n", ":1:4: is not YAML: 'x' is no int"),
        ("a: !!int\n", ":1:4: is not YAML: '' is no int"),
        ("a: !!bool x\n", ":1:4: is not YAML: 'x' is no bool"),
        ("a: !!timestamp x\n", ":1:4: is not YAML: 'x' is no timestamp"),
        (
            "a: 99999999999999999999\n",
            ":1:4: is not YAML: '99999999999999999999' is no int (it is larger than 64 bits)",
        ),
        (f"a: 0x{'f' * 9000}\n", ":1:4: is not YAML: "),
        (f"a: {'9' * 9000}\n", ":1:4: is not YAML: "),
        ("a: \x07\n", ": is not YAML: unacceptable character #x0007"),
        ("", ": holds no settings"),
        ("# nothing\n", ": holds no settings"),
        ("- a\n- b\n", ": holds no settings"),
        ("just words\n", ": holds no settings"),
        (f"a: {'[' * 5000}\n", ": is nested too deeply"),
        ("a: &x [*x]\n", ": is nested too deeply, or an alias (*name) stands inside what it names"),
        ("a: &x {b: *x}\n", ": is nested too deeply, or an alias (*name) stands inside what it names"),
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_what_is_not_settings_is_named_by_line_and_column(file, text, expected):
    file.write_text(text, encoding="utf8")
    with pytest.raises(UserError) as caught:
        yaml_file.load(file)
    assert str(caught.value).startswith(f"{file}{expected}")


@pytest.mark.timeout(20)
def test_aliases_of_aliases_end_before_memory_does(file):
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    file.write_text(f"a0: &a0 [x]\n{levels}", encoding="utf8")
    with pytest.raises(UserError, match="holds more than 100,000 settings"):
        yaml_file.load(file)


def test_aliases_and_merged_keys_are_read(file):
    text = "a: &x {b: 1, c: 2}\nd: *x\ne: {<<: *x, b: 3}\n"
    assert ours(file, text) == theirs(text) == "{'a': {'b': 1, 'c': 2}, 'd': {'b': 1, 'c': 2}, 'e': {'b': 3, 'c': 2}}"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml: there is no such file; run from the project's root"):
        yaml_file.load(tmp_path / "params.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        yaml_file.load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("suite: Größe".encode("latin1"))
    with pytest.raises(UserError, match=r"latin\.yaml: is not UTF-8 text \(byte 9\); save it as UTF-8"):
        yaml_file.load(tmp_path / "latin.yaml")
