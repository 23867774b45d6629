"""The report as Markdown, and the leaderboard for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quintet.report import words
from quintet.report.compare import Board, Row
from quintet.report.words import Figures


def markdown(boards: Sequence[Board], report: Mapping[str, Any]) -> str:
    """Summary and leaderboards; the page has the rest. `report` is what report.json holds."""
    parts = [f"# Quintet: suite {report['suite']}", ""]
    if report["missing"]:
        parts += [f"**Not in this report yet** (`dvc repro` makes them): {', '.join(report['missing'])}.", ""]
    for board in boards:
        parts += [f"## {board.data}: {board.task}", "", words.headline(board), ""]
        parts += [*(f"- {text}" for text in words.findings(board)), ""]
        parts += [*_table(board, report["statistics"]["level"]), ""]
        parts += [*_bounds(board), ""]
        if board.curves:
            parts += ["### What labels buy", "", *_labels(board), ""]
    if report["claims"]:
        parts += ["## Claims", "", "| claim | verdict | effect | interval |", "|---|---|---:|---|"]
        for claim in report["claims"]:
            span = f"[{claim['low']:.3g}, {claim['high']:.3g}]" if claim.get("low") is not None else "–"
            effect = f"{claim['effect']:.3g}" if claim.get("effect") is not None else "–"
            parts.append(f"| {_cell(str(claim['name']))} | {_cell(str(claim['verdict']))} | {effect} | {span} |")
        parts.append("")
    return "\n".join(parts)


def _table(board: Board, level: float) -> list[str]:
    figures = Figures.of(board)
    heads = [
        "#", "model", "family", words.metric_title(board.metric), f"{words.share(level)} interval",
        "to the best", "p (Holm)", "parameters", "FLOPs", "training", "latency p50",
    ]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---:|---|---|---:|---|---:|---:|---:|---:|---:|---:|"]
    for row in board.rows:
        e, estimate = row.evaluated, row.estimate
        name = f"**{_cell(e.title)}**" if row is board.best else _cell(e.title)
        marks = [mark for mark, holds in _marks(board, row) if holds]
        cells = [
            str(row.rank),
            f"{name} `{_cell(e.experiment)}`" + (f" ({', '.join(marks)})" if marks else ""),
            words.family_title(e.family),
            figures.value(board.metric, estimate.value),
            figures.interval(board.metric, estimate.low, estimate.high),
            figures.signed(board.metric, row.against_best.difference) if row.against_best else "",
            words.p_value(row.p_holm) if row.against_best else "",
            *(words.cost(cost, row.cost(cost)) for cost in ("parameters", "flops", "train_seconds", "latency")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _bounds(board: Board) -> list[str]:
    """What figures of made images are to be read beside; nothing elsewhere."""
    made = next((row.evaluated.generated for row in board.rows if row.evaluated.generated), None)
    if made is None:
        return []
    figures, ends = Figures.of(board), []
    for title, bound in (("training images (the floor)", made.floor), ("noise (the ceiling)", made.ceiling)):
        values = [f"{words.within(words.metric_title(n))} {figures.value(n, value)}" for n, value in bound.items()]
        ends.append(f"{title}: {', '.join(values)}")
    judge = f"by a judge that is right on {figures.value('accuracy', made.judge_accuracy)} of real images"
    return [f"In place of made images, {judge}: {'; '.join(ends)}."]


def _labels(board: Board) -> list[str]:
    """A line for each network, a column for each share of the labels."""
    figures = Figures.of(board)
    shares = sorted({e.labels: words.label_share(e) for curve in board.curves for e in curve.points}.items())
    heads = ["model", "family", *(title for _, title in shares)]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * len(shares)}"]
    for curve in board.curves:
        at = {e.labels: e.estimate for e in curve.points}
        cells = [
            f"{figures.value(board.metric, m.value)} {figures.interval(board.metric, m.low, m.high)}"
            if (m := at.get(share))
            else "–"
            for share, _ in shares
        ]
        family = words.family_title(curve.points[0].family)
        lines.append(f"| {' | '.join([_cell(curve.title), family, *cells])} |")
    return lines


def _marks(board: Board, row: Row) -> list[tuple[str, bool]]:
    gain = board.sign * row.against_baseline.difference if row.against_baseline else 0.0
    return [
        ("best", row is board.best),
        ("tied with the best", row is not board.best and row.tied_with_best),
        ("champion", row.evaluated.experiment == board.champion),
        (words.baseline_note(row.beats_baselines, gain), row.beats_baselines is False),
        ("below expectation", row.expected_reached is False),
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def leaderboard_text(report: Mapping[str, Any]) -> str:
    """The leaderboards of a report.json as aligned columns, each under its answer."""
    parts = []
    interval = f"{words.share(report['statistics']['level'])} interval"
    for answer in report["answers"]:
        rows = [r for r in report["leaderboard"] if (r["task"], r["data"]) == (answer["task"], answer["data"])]
        figures = Figures.bearing(answer["examples"] * max(len(r["seeds"]) for r in rows))
        table = [["", "model", "family", words.within(words.metric_title(rows[0]["metric"])), interval, "to best",
                  "p (Holm)", "params", "train", ""]]  # fmt: skip
        for r in rows:
            gain = (r["against_baseline"] or {}).get("difference", 0.0) * (1 if r["direction"] == "max" else -1)
            twins = sum(other["title"] == r["title"] for other in rows)
            notes = [
                note
                for note, holds in (
                    ("best", r["effect"] is None),
                    ("tied", r["effect"] is not None and r["tied_with_best"]),
                    ("champion", r["champion"]),
                    (words.baseline_note(r["beats_baselines"], gain), r["beats_baselines"] is False),
                    ("below expectation", r["expected_reached"] is False),
                )
                if holds
            ]
            table.append([
                str(r["rank"]), r["title"] if twins == 1 else f"{r['title']} ({r['experiment']})",
                words.family_title(r["family"]), figures.value(r["metric"], r["value"]),
                figures.interval(r["metric"], r["low"], r["high"]),
                figures.signed(r["metric"], r["effect"]["difference"]) if r["effect"] else "",
                words.p_value(r["p_holm"]) if r["effect"] else "",
                words.count(r["cost"].get("parameters")), words.seconds(r["cost"].get("train_seconds")),
                ", ".join(notes),
            ])  # fmt: skip
        parts += [answer["headline"], "", *_aligned(table, right={0, 3, 5, 6, 7, 8}), ""]
        parts += [*answer["findings"], ""]
    if report["missing"]:
        parts += [f"not in this report yet: {', '.join(report['missing'])}", ""]
    return "\n".join(parts)


def _aligned(table: list[list[str]], right: set[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
