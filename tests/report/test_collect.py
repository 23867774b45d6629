"""What is missing is listed; what is corrupt or stale is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quintet.errors import UserError
from quintet.report.collect import collect

NAMES = ["digits-lenet5", "digits-gru"]
LENET = "runs/digits-lenet5"


@pytest.fixture
def outputs(whole: Path, tmp_path: Path) -> Path:
    """A copy of two experiments and the baselines, to be damaged."""
    for name in NAMES:
        shutil.copytree(whole / "runs" / name, tmp_path / "runs" / name)
    shutil.copytree(whole / "baselines", tmp_path / "baselines")
    return tmp_path


def test_what_was_not_evaluated_yet_is_listed_as_the_stage_that_makes_it(outputs: Path) -> None:
    shutil.rmtree(outputs / LENET / "evaluate")
    found = collect(outputs, "embedded", [*NAMES, "digits-later"], ["digits", "other"])
    assert found.missing == ("evaluate@digits-lenet5", "evaluate@digits-later", "baseline@other")
    assert [e.experiment for e in found.evaluated] == ["digits-gru", "logistic-regression", "most-frequent"]


def test_what_an_earlier_run_left_of_a_failed_stage_is_no_result(outputs: Path) -> None:
    found = collect(outputs, "embedded", NAMES, ["digits"], failed=["train@digits-gru", "baseline@digits"])
    assert found.missing == ("evaluate@digits-gru", "baseline@digits")
    assert [e.experiment for e in found.evaluated] == ["digits-lenet5"]


def test_folders_of_experiments_that_are_not_declared_are_left_alone(outputs: Path) -> None:
    (outputs / LENET / "evaluate" / "evaluation.json").write_text("from an old suite")
    assert [e.experiment for e in collect(outputs, "embedded", ["digits-gru"], []).evaluated] == ["digits-gru"]


def test_examples_are_put_in_one_order_whatever_the_order_of_rows(outputs: Path) -> None:
    before = collect(outputs, "embedded", ["digits-lenet5"], []).evaluated[0].examples
    file = outputs / LENET / "evaluate" / "examples.parquet"
    table = pq.read_table(file)
    pq.write_table(table.take(pa.array(np.random.default_rng(0).permutation(len(table)))), file)
    after = collect(outputs, "embedded", ["digits-lenet5"], []).evaluated[0].examples
    assert before.seeds == after.seeds == (0, 1, 2)
    for part in ("ids", "targets", "predictions", "scores"):
        assert np.array_equal(getattr(before, part), getattr(after, part)), part


FILES = {
    f"{LENET}/evaluate/evaluation.json": "evaluate@digits-lenet5",
    f"{LENET}/evaluate/examples.parquet": "evaluate@digits-lenet5",
    f"{LENET}/evaluate/confusion.json": "evaluate@digits-lenet5",
    f"{LENET}/train/settings.json": "train@digits-lenet5",
    f"{LENET}/train/seed-1/curves.csv": "train@digits-lenet5",
    f"{LENET}/train/seed-1/validation.parquet": "train@digits-lenet5",
    "baselines/digits/logistic-regression/evaluation.json": "baseline@digits",
    "baselines/digits/gallery.npz": "baseline@digits",
}


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def overwrite(file: Path) -> None:
    file.write_bytes(b"\xff\x00 noise")


@pytest.mark.parametrize(
    ("file", "damage"),
    # Half a table of numbers is a shorter table: DVC's checksum is what tells.
    [(f, d) for f in FILES for d in (Path.unlink, cut, overwrite) if not (d is cut and f.endswith(".csv"))],
)
def test_a_missing_or_corrupt_file_is_named_with_the_stage_that_writes_it(
    outputs: Path, file: str, damage: Callable[[Path], object]
) -> None:
    damage(outputs / file)
    with pytest.raises(UserError) as caught:
        collect(outputs, "embedded", NAMES, ["digits"])
    assert str(outputs / file) in str(caught.value)
    assert f"dvc repro {FILES[file]}" in str(caught.value)
    assert "\n" not in str(caught.value)


def rewrite(file: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.pop("metrics"), "lacks 'metrics'"),
        (lambda c: c["metrics"].pop("accuracy"), "lacks 'accuracy'"),
        (lambda c: c["metrics"]["accuracy"].update(value=None), "something else than expected"),
        (lambda c: c["metrics"]["accuracy"].update(value=float("nan")), "NaN is no number"),
        (lambda c: c.update(direction="up"), "direction 'up'"),
        (lambda c: c.update(runs=7), "something else than expected"),
    ],
)
def test_an_evaluation_that_is_not_one_is_refused(outputs: Path, change: Callable[[dict], object], told: str) -> None:
    rewrite(outputs / LENET / "evaluate" / "evaluation.json", change)
    with pytest.raises(UserError, match=told):
        collect(outputs, "embedded", NAMES, [])


def change_examples(file: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    columns = {name: column.to_numpy().copy() for name, column in zip(*_columns(file), strict=True)}
    change(columns)
    pq.write_table(pa.table(columns), file)


def _columns(file: Path) -> tuple[list[str], list[pa.ChunkedArray]]:
    table = pq.read_table(file)
    return table.column_names, table.columns


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["id"].__setitem__(0, c["id"][1]), "names an example twice for seed 0"),
        (lambda c: c["id"].__setitem__(300, "digits/unheard-of"), "seeds 0 and 1 hold different examples"),
        (lambda c: c["target"].__setitem__(300, "other"), "seeds 0 and 1 hold different"),
        (lambda c: c["score"].__setitem__(0, np.nan), "a score that is no number"),
        (lambda c: [c.update({k: v[:0]}) for k, v in list(c.items())], "has no rows"),
        (lambda c: c.pop("prediction"), "prediction"),
    ],
)
def test_examples_that_cannot_be_compared_are_refused(
    outputs: Path, change: Callable[[dict[str, np.ndarray]], object], told: str
) -> None:
    file = outputs / LENET / "evaluate" / "examples.parquet"
    change_examples(file, change)
    with pytest.raises(UserError, match=told) as caught:
        collect(outputs, "embedded", NAMES, [])
    assert str(file) in str(caught.value)


def test_a_confusion_matrix_of_another_size_than_its_classes_is_refused(outputs: Path) -> None:
    rewrite(outputs / LENET / "evaluate" / "confusion.json", lambda c: c["matrix"].pop())
    with pytest.raises(UserError, match="another number of rows"):
        collect(outputs, "embedded", NAMES, [])


def test_a_loss_that_was_not_measured_is_none(outputs: Path) -> None:
    file = outputs / LENET / "train" / "seed-0" / "curves.csv"
    lines = file.read_text().splitlines()
    step, epoch, seconds, _, validation_loss, *rest = lines[1].split(",")
    assert float(validation_loss) > 0
    lines[1] = ",".join([step, epoch, seconds, "", "nan", *rest])
    file.write_text("\n".join(lines))
    training = collect(outputs, "embedded", ["digits-lenet5"], []).evaluated[0].training
    assert training is not None
    assert training.curves[0][0][3:5] == (None, None)
    assert training.curves[0][1][3] is not None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["explanations"][0].pop("words"), "something else than expected"),
        (lambda c: c["explanations"][0]["words"].pop(), "another size than the 10 words of reviews/0000"),
        (lambda c: c["explanations"][1]["about"].append(11), "words that reviews/0001 lacks"),
    ],
)
def test_explanations_that_do_not_fit_their_words_are_refused(
    texts: Path, tmp_path: Path, change: Callable[[dict], object], told: str
) -> None:
    shutil.copytree(texts / "runs/reviews-bert-1", tmp_path / "runs/reviews-bert-1")
    rewrite(tmp_path / "runs/reviews-bert-1/evaluate/explanations.json", change)
    with pytest.raises(UserError, match=told):
        collect(tmp_path, "s", [], [], finetuning=["reviews-bert-1"])
