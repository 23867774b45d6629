"""The files of a report: complete, stable, and the same in each form."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from quintet.errors import UserError
from quintet.report import build, leaderboard_text

ROW = {
    "task", "data", "experiment", "family", "model", "metric", "direction", "value", "low", "high", "seeds", "per_seed",
    "baseline", "beats_baselines", "tied_with_best", "p_value", "p_holm", "effect", "expected", "cost", "budget",
    "run_ids", "commit", "data_digest",
}  # fmt: skip


def text_of(page: str) -> str:
    """What a reader reads: the words between the tags."""

    class Text(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.parts: list[str] = []
            self.hidden = 0

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.hidden += tag in ("script", "style")

        def handle_endtag(self, tag: str) -> None:
            self.hidden -= tag in ("script", "style")

        def handle_data(self, data: str) -> None:
            if not self.hidden:
                self.parts.append(data)

    parser = Text()
    parser.feed(page)
    return " ".join(" ".join(parser.parts).split())


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_a_report_is_a_page_markdown_json_and_tables(whole: Path, report: dict[str, Any]) -> None:
    assert set(files(whole / "report")) == {
        "index.html", "report.md", "report.json", "plots/curves.csv", "plots/leaderboard.csv", "plots/confusion.csv",
    }  # fmt: skip
    assert json.loads((whole / "report" / "report.json").read_text(encoding="utf8")) == report


def test_every_row_has_what_programs_read(report: dict[str, Any]) -> None:
    for row in report["leaderboard"]:
        assert set(row) >= ROW
    row = report["leaderboard"][0]
    assert row["experiment"] == "digits-resnet20"
    assert row["seeds"] == [0, 1, 2]
    assert len(row["run_ids"]) == 3
    assert row["commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert row["data_digest"].startswith("sha256:")
    assert set(report) >= {"suite", "generated_at", "provenance", "missing", "claims", "leaderboard"}
    assert report["suite"] == "embedded"


def test_the_report_is_dated_by_its_latest_evaluation(report: dict[str, Any]) -> None:
    assert report["generated_at"] == "2026-11-20T09:16:00+00:00"


def test_the_same_files_give_the_same_bytes(whole: Path, report: dict[str, Any], tmp_path: Path) -> None:
    names = [row["experiment"] for row in report["leaderboard"] if not row["baseline"]]
    # Neither the order of declaration nor an older report in the way may matter.
    (tmp_path / "plots").mkdir()
    (tmp_path / "index.html").write_text("old")
    for declared in (names, names[::-1]):
        build(whole, tmp_path, suite="embedded", experiments=declared, baselines=["digits"])
        assert files(tmp_path) == files(whole / "report")


def test_an_experiment_without_results_is_shown_as_missing_in_every_form(whole: Path, tmp_path: Path) -> None:
    found = build(
        whole, tmp_path, suite="embedded", experiments=["digits-gru", "digits-later"], baselines=["digits", "other"]
    )
    assert found["missing"] == ["evaluate@digits-later", "baseline@other"]
    assert "evaluate@digits-later" in text_of((tmp_path / "index.html").read_text(encoding="utf8"))
    assert "evaluate@digits-later" in (tmp_path / "report.md").read_text(encoding="utf8")
    assert "evaluate@digits-later, baseline@other" in leaderboard_text(found)


def test_a_report_on_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no evaluated experiment"):
        build(tmp_path, tmp_path / "report", suite="s", experiments=["digits-gru"], baselines=["digits"])
    assert not (tmp_path / "report").exists()


def test_the_answer_is_the_same_on_the_page_in_markdown_and_on_the_terminal(
    whole: Path, report: dict[str, Any]
) -> None:
    page = text_of((whole / "report" / "index.html").read_text(encoding="utf8")).replace("\u00a0", " ")
    markdown = (whole / "report" / "report.md").read_text(encoding="utf8").replace("**", "")
    terminal = leaderboard_text(report)
    answer = report["answers"][0]
    for sentence in (answer["headline"], *answer["findings"]):
        assert sentence in markdown
        assert sentence in terminal
        # Tags stand between the page's words.
        assert "".join(sentence.split()) in "".join(page.split())


def test_markdown_has_a_line_for_each_row(whole: Path, report: dict[str, Any]) -> None:
    lines = (whole / "report" / "report.md").read_text(encoding="utf8").splitlines()
    table = [line for line in lines if line.startswith("| ")][1:]
    assert len(table) == len(report["leaderboard"])
    assert len({line.count("|") for line in table}) == 1
    for line, row in zip(table, report["leaderboard"], strict=True):
        assert f"`{row['experiment']}`" in line
        assert f"{100 * row['value']:.1f} %" in line


def test_the_terminal_table_is_aligned_and_in_order(report: dict[str, Any]) -> None:
    lines = leaderboard_text(report).splitlines()
    start = next(i for i, line in enumerate(lines) if "p (Holm)" in line)
    head, rows = lines[start], lines[start + 1 : start + 10]
    assert [int(line.split()[0]) for line in rows] == list(range(1, 10))
    end = head.index("accuracy") + len("accuracy")
    for line, row in zip(rows, report["leaderboard"], strict=True):
        assert line[:end].endswith(f"{100 * row['value']:.1f} %")


def test_plots_are_tidy_tables_of_every_experiment(whole: Path, report: dict[str, Any]) -> None:
    def table(name: str) -> list[dict[str, str]]:
        with (whole / "report" / "plots" / name).open(newline="") as stream:
            return list(csv.DictReader(stream))

    curves = table("curves.csv")
    assert Counter(row["seed"] for row in curves if row["experiment"] == "digits-gru") == {"0": 24, "1": 30, "2": 30}
    assert set(curves[0]) >= {
        "experiment", "family", "seed", "step", "epoch", "train_loss", "validation_loss", "validation_score",
    }  # fmt: skip
    board = table("leaderboard.csv")
    assert [row["experiment"] for row in board] == [row["experiment"] for row in report["leaderboard"]]
    assert [float(row["value"]) for row in board] == [row["value"] for row in report["leaderboard"]]
    answers = [row for row in table("confusion.csv") if row["experiment"] == "digits-rnn"]
    right = sum(row["actual"] == row["predicted"] for row in answers)
    value = next(row["value"] for row in report["leaderboard"] if row["experiment"] == "digits-rnn")
    assert right / len(answers) == pytest.approx(value)


def test_claims_are_shown_only_where_there_are_any(whole: Path, report: dict[str, Any], tmp_path: Path) -> None:
    assert 'id="claims"' not in (whole / "report" / "index.html").read_text(encoding="utf8")
    claims = [
        {"name": "Residuals help", "verdict": "holds", "effect": 0.031, "low": 0.01, "high": 0.052},
        {"name": "Undecided | so far", "verdict": "open"},
    ]
    found = build(whole, tmp_path, suite="s", experiments=["digits-gru"], baselines=["digits"], claims=claims)
    assert found["claims"] == claims
    assert "Residuals help holds 0.031 [0.01, 0.052]" in text_of((tmp_path / "index.html").read_text(encoding="utf8"))
    assert "| Residuals help | holds | 0.031 | [0.01, 0.052] |" in (tmp_path / "report.md").read_text(encoding="utf8")
    assert "| Undecided \\| so far | open | – | – |" in (tmp_path / "report.md").read_text(encoding="utf8")


def test_the_level_of_the_intervals_is_the_one_that_was_asked_for(whole: Path, tmp_path: Path) -> None:
    names = ["digits-gru", "digits-lenet5"]
    wide = build(whole, tmp_path / "a", suite="s", experiments=names, baselines=[], level=0.99)
    narrow = build(whole, tmp_path / "b", suite="s", experiments=names, baselines=[], level=0.8)
    spans = [r["leaderboard"][1]["effect"]["high"] - r["leaderboard"][1]["effect"]["low"] for r in (wide, narrow)]
    assert spans[0] > 1.5 * spans[1]
    page = text_of((tmp_path / "b" / "index.html").read_text(encoding="utf8"))
    assert "80 %" in page
    assert "95 %" not in page


def test_names_cannot_break_out_of_the_page(tmp_path: Path, rename: Callable[[str, str], list[str]]) -> None:
    names = rename("digits-gru", "</script><script>alert(1)</script>")
    build(tmp_path, tmp_path / "report", suite="<b>s</b>", experiments=names, baselines=[])
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf8")
    assert "<script>alert(1)" not in page
    assert "<b>s</b>" not in page
    assert page.count("</script>") == 2


@pytest.fixture
def rename(whole: Path, tmp_path: Path) -> Callable[[str, str], list[str]]:
    """Copies an experiment under another title."""

    def copy(name: str, title: str) -> list[str]:
        shutil.copytree(whole / "runs" / name, tmp_path / "runs" / name)
        file = tmp_path / "runs" / name / "evaluate" / "evaluation.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"title": title}))
        return [name]

    return copy


def test_the_report_imports_neither_torch_nor_mlflow() -> None:
    heavy = "torch, mlflow, pytorch_lightning, pandas, matplotlib, sklearn"
    code = f"import sys, quintet.report; print(sorted(set('{heavy}'.split(', ')) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_board_is_told_in_the_words_of_its_own_task(texts: Path, texts_report: dict[str, Any]) -> None:
    page = (texts / "report" / "index.html").read_text(encoding="utf8")
    boards = [text_of(part.split("</article>")[0]) for part in page.split('<article class="board"')[1:]]
    of_task = {answer["task"]: text for answer, text in zip(texts_report["answers"], boards, strict=True)}
    assert set(of_task) == {"classification", "pretraining", "tagging"}
    assert "Entity F1 on the test split" in of_task["tagging"]
    assert "Beyond entity F1" in of_task["tagging"]
    assert "Masked-word accuracy" in of_task["pretraining"]
    assert "123.5" in of_task["pretraining"]
    assert "123.5 %" not in of_task["pretraining"]
    assert "Perplexity: lower is better." in of_task["pretraining"]
    for task, text in of_task.items():
        # There are no confusion matrices here, and pairs of sentences are nothing to look at.
        assert "What is mistaken for what" not in text
        assert ("What only one family got right" in text) == (task != "pretraining")
        assert ("What labels buy" in text) == (task == "classification")
        assert ("Which words drove an answer" in text) == (task != "pretraining")
        assert ("Perplexity" in text) == (task == "pretraining")
        assert ("Negative log-likelihood: lower is better." in text) == (task == "classification")


def test_markdown_has_a_column_for_each_share_of_the_labels(texts: Path, texts_report: dict[str, Any]) -> None:
    lines = (texts / "report" / "report.md").read_text(encoding="utf8").splitlines()
    start = lines.index("### What labels buy") + 2
    head = "| model | family | 1 % of the labels (20) | 10 % of the labels (200) | all labels (2,000) |"
    assert lines[start] == head
    curves = texts_report["label_efficiency"][0]["curves"]
    for line, curve in zip(lines[start + 2 : start + 5], curves, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0] == curve["title"]
        at = {point["labels"]: f"{100 * point['value']:.1f} % [" for point in curve["points"]}
        for share, cell in zip((0.01, 0.1, 1.0), cells[2:], strict=True):
            assert cell.startswith(at.get(share, "–"))


def test_explained_words_are_shaded_in_their_text(texts: Path) -> None:
    page = (texts / "report" / "index.html").read_text(encoding="utf8")
    shaded = re.findall(r'<span class="word ([a-z]*)( about)?" style="--s: (\d+)%" title="([^"]+)">(\w+)</span>', page)
    assert {kind for kind, _, _, _, word in shaded if word == "excellent"} == {"for"}
    assert {kind for kind, _, _, _, word in shaded if word == "dull"} == {"against"}
    assert {shade for _, _, shade, _, word in shaded if word == "excellent"} == {"100"}
    assert "[CLS]" not in text_of(page)
    # One for each wrong answer of each network on a leaderboard.
    assert len([about for _, about, _, _, _ in shaded if about]) == 6
