"""The command line as a user meets it: in processes of its own, one line for a mistake, status 2, no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quintet import cli

SUITES = Path(__file__).parents[1] / "suites"
COMMANDS = (
    "prepare",
    "baseline",
    "train",
    "evaluate",
    "report",
    "leaderboard",
    "sync",
    "serve",
    "predict",
    "check",
    "catalogue",
    "suite",
)


def quintet(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "quintet", *arguments], cwd=root, capture_output=True, text=True)


def only_line(ended: subprocess.CompletedProcess[str]) -> str:
    """What a command said that ended in a mistake of the user's."""
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith("\n")
    (line,) = ended.stderr.splitlines()
    return line.removeprefix("quintet: ")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with the smoke suite in force."""
    shutil.copytree(SUITES, tmp_path / "suites")
    shutil.copy(SUITES / "smoke.yaml", tmp_path / "params.yaml")
    return tmp_path


def test_help_names_every_command(root):
    shown = quintet(root, "--help")
    assert shown.returncode == 0
    assert all(f"\n    {command} " in shown.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    shown = capsys.readouterr()
    assert (ended.value.code, shown.err) == (0, "")
    assert shown.out.startswith(f"usage: quintet {command} ")


def test_check_counts_what_would_be_trained(root):
    checked = quintet(root, "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("params.yaml is sound: suite smoke, 4 data set(s), ")
    assert checked.stdout.endswith("experiment(s), 11 training(s), seeds counted\n")


BROKEN = {
    "a misspelt key": (b"seeds:", b"seds:", "params.yaml:4: seds: unknown setting 'seds'; did you mean 'seeds'?"),
    "a misspelt model": (
        b"name: gru",
        b"name: gro",
        ": experiments.digits-gru.model.name: unknown rnn model 'gro'; did",
    ),
    "a wrong type": (b"batch_size: 64", b"batch_size: many", ": training.batch_size: is 'many'; it should be a whole"),
    "a model that does not fit": (
        b"patch_size: 2",
        b"patch_size: 3",
        "does not divide images of 8 x 8; 1, 2, 4 or 8 would",
    ),
    "a missing folder": (
        b"own_data: {}",
        b"own_data: {x: {format: image-folder, path: nowhere, image_size: [8, 8]}}",
        ": own_data.x.path: no such folder: nowhere",
    ),
    "no seeds": (b"seeds: [0, 1]", b"seeds: []", "params.yaml:4: seeds: there are no seeds"),
    "a budget of nothing": (b"epochs: 2", b"epochs: 0", ": training.budget.epochs: is 0; it should be greater than 0"),
    "an undeclared data set": (
        b"    data: digits",
        b"    data: digit",
        "unknown data set 'digit'; did you mean 'digits'?",
    ),
    "a name given twice": (
        b"  digits-gru:",
        b"  digits-vit:",
        "'experiments.digits-vit' is given twice, first on line",
    ),
    "broken syntax": (b"seeds: [0, 1]", b"seeds: [0, 1", "params.yaml:6:5: is not YAML: "),
    "no text": (b"# ", b"\xff ", "params.yaml: is not UTF-8 text (byte 0)"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_ends_in_one_line_before_any_work(root, what):
    old, new, expected = BROKEN[what]
    content = (root / "params.yaml").read_bytes()
    assert old in content
    (root / "params.yaml").write_bytes(content.replace(old, new, 1))
    line = only_line(quintet(root, "check"))
    assert line.startswith("params.yaml:")
    assert expected in line
    # Whichever stage comes first says the same.
    assert only_line(quintet(root, "train", "digits-lenet")) == line
    assert sorted(path.name for path in root.iterdir()) == ["params.yaml", "suites"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("prepare", "digit"), "params.yaml: unknown data set 'digit'; did you mean 'digits'? it takes: digits"),
        (("baseline", "x"), "params.yaml: unknown baseline 'x'; it takes: digits"),
        (("train", "digits-lnet"), "params.yaml: unknown experiment 'digits-lnet'; did you mean 'digits-lenet'?"),
        (("evaluate", "digits"), "params.yaml: unknown experiment 'digits'; did you mean "),
        (("catalogue", "resnett"), "catalogue: unknown family or model 'resnett'; did you mean 'resnet'?"),
        (("suite", "smok"), "suites: unknown suite 'smok'; did you mean 'smoke'? it takes: embedded, "),
        (("leaderboard",), "outputs/report/report.json: there is no report yet; run: dvc repro"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_argument_ends_in_one_line(root, arguments, expected, monkeypatch, capsys):
    monkeypatch.chdir(root)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith(f"quintet: {expected}")
    assert said.err.count("\n") == 1


def test_outside_a_project_the_missing_file_is_named(tmp_path):
    assert only_line(quintet(tmp_path, "check")) == (
        "params.yaml: there is no such file; run from the project's root, or choose one: quintet suite"
    )


def test_an_unknown_command_shows_which_there_are(root):
    ended = quintet(root, "chek")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "invalid choice: 'chek'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_suite_lists_shows_and_applies(root):
    assert "* smoke " in quintet(root, "suite").stdout
    shown = quintet(root, "suite", "embedded", "--dry-run")
    assert "\n+suite: embedded\n" in shown.stdout
    assert (root / "params.yaml").read_bytes() == (SUITES / "smoke.yaml").read_bytes()
    assert quintet(root, "suite", "embedded").stdout.startswith(shown.stdout.rstrip())
    assert (root / "params.yaml").read_bytes() == (SUITES / "embedded.yaml").read_bytes()


def test_suite_keeps_edits_that_are_saved_nowhere(root):
    with open(root / "params.yaml", "a", encoding="utf8") as f:
        f.write("# mine\n")
    line = only_line(quintet(root, "suite", "embedded"))
    assert line.startswith(
        "params.yaml: has edits that are saved nowhere and would be lost; commit it, or keep it with: "
    )
    assert (root / "params.yaml").read_text(encoding="utf8").endswith("# mine\n")


@pytest.mark.parametrize("command", ["catalogue", "check"])
def test_a_reader_that_goes_away_is_no_error(root, command):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        ended = subprocess.run(
            [sys.executable, "-m", "quintet", command],
            cwd=root,
            env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_our_own_mistakes_keep_their_traceback(root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setattr("quintet.config.load", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["check"])
