"""index.html: one self-contained page.

Tables, sentences and pictures are written here; the plots that a reader can turn are drawn by
`assets/page.js` from the numbers embedded in the page.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray

from quintet.evaluation.statistics import ALPHA
from quintet.report import disagreement, pictures, words
from quintet.report.collect import CURVE_COLUMNS, GAME_COLUMNS, Collected, Evaluated, Film, Gallery
from quintet.report.compare import COSTS, Board, Row
from quintet.report.words import Figures
from quintet.tasks.pictures import GAP

PICTURES = 12
# Of more classes than this the page says how many were made, and draws no bars.
MOST_CLASSES = 20
LONGEST_TEXT = 400
# A curve of more points than this is thinned: a screen shows no more, and the page stays small.
CURVE_POINTS = 300
_CURVES = ("step", "epoch", "seconds", "train_loss", "validation_loss", "validation_score")
_COLUMNS = (*CURVE_COLUMNS, *GAME_COLUMNS)


def page(collected: Collected, boards: Sequence[Board], report: Mapping[str, Any]) -> str:
    """The whole page as text; `report` is what report.json holds."""
    # Without a cache directory or a loader nothing outside this package can change the page.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"starred": _starred, "moment": _moment, "family_class": _family_class, "pretty": _pretty}
    views = [_board(i, board, collected.galleries.get(board.data)) for i, board in enumerate(boards)]
    return environment.from_string(_asset("page.html.jinja")).render(
        report=report,
        boards=views,
        provenance=[_provenance(e) for board in boards for e in board.evaluated],
        words=words,
        edited=any(run.get("dirty") for e in collected.evaluated for run in e.runs),
        alpha=ALPHA,
        level=words.share(report["statistics"]["level"]),
        style=Markup(_asset("page.css")),
        script=Markup(_asset("page.js")),
        numbers=Markup(_json([_numbers(board) for board in boards])),
    )


def _asset(name: str) -> str:
    return resources.files("quintet.report").joinpath("assets", name).read_text(encoding="utf8")


def _json(value: Any) -> str:
    """JSON that may stand in a script element: no '<' can end it."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _starred(text: str) -> Markup:
    """Plain text with **stars** as HTML; a number keeps its unit on the line, an interval steps back."""
    html = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text)))
    html = re.sub(r"(?<=\d) (?=(%|s|min|h)\b|%)", "\u00a0", html)
    html = re.sub(r"\bp (=|&lt;) ", "p\u00a0\\1\u00a0", html)
    return Markup(re.sub(r"\[[^\]]*\d\]", lambda m: f'<span class="interval">{m[0]}</span>', html))


def _moment(iso: str | None) -> str:
    if not iso:
        return "–"
    try:
        return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return iso


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _family_class(family: str) -> str:
    return f"family-{family}" if family in words.FAMILY_TITLES else "family-other"


# The leaderboard of one task on one data set.


def _board(number: int, board: Board, gallery: Gallery | None) -> dict[str, Any]:
    figures = Figures.of(board)
    scale = Scale.of(board)
    played = any(row.evaluated.training and row.evaluated.training.films for row in board.rows)
    return {
        "id": f"board-{number}",
        "board": board,
        "metric": words.metric_title(board.metric),
        "headline": words.headline(board),
        "findings": words.findings(board),
        "classes": len(confusion.classes) if (confusion := board.best.evaluated.confusion) else None,
        "families": [_family(board, figures, row) for row in board.families.values()],
        "ticks": [(scale.percent(t), figures.bare(board.metric, t)) for t in scale.ticks()],
        "rows": [_row(board, figures, scale, row) for row in board.rows],
        "reliability": _reliability(board, figures),
        "fronts": [
            (words.COST_TITLES[cost], [words.label(board, row) for row in board.rows if cost in row.pareto])
            for cost in COSTS
        ],
        "has_curves": any(row.evaluated.training for row in board.rows),
        "losses": [(_CURVES.index(name), words.loss_title(board, name)) for name in ("validation_loss", "train_loss")]
        + [(len(_CURVES) + i, words.loss_title(board, name)) for i, name in enumerate(GAME_COLUMNS) if played],
        "makers": [_maker(board, figures, row) for row in board.rows if _main(row.evaluated)],
        "judge": next((row.evaluated.generated for row in board.rows if row.evaluated.generated), None),
        "repairs": _repairs(board, figures),
        # An empty gallery is that of a task whose examples are nothing to look at, such as pairs for pre-training; and
        # of pictures that networks made none is right or wrong.
        "groups": []
        if (gallery is not None and not len(gallery.ids)) or any(row.evaluated.pictures for row in board.rows)
        else [_group(group, gallery) for group in disagreement.groups(board, gallery)],
        "has_gallery": gallery is not None,
        "ratio": any((row.evaluated.examples.weights != 1).any() for row in board.rows),
        "labels": _labels(board, figures),
        "explained": [
            {"label": words.label(board, row), "family": row.evaluated.family, "cases": _explained(row.evaluated)}
            for row in board.rows
            if row.evaluated.explanations
        ],
    }


class Scale:
    """The axis of the interval bars: wide enough for the contenders, not for those far behind.

    A row further from the best than four times the median neural model would squeeze the others
    into one dot; it is drawn at the edge, as an arrow.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    @classmethod
    def of(cls, board: Board) -> Scale:
        best = board.best.estimate.value
        gaps = [abs(row.estimate.value - best) for row in board.neural if row is not board.best]
        reach = 4 * float(np.median(gaps)) if gaps else 0.0
        seen = [row.estimate for row in board.rows if abs(row.estimate.value - best) <= max(reach, 1e-9)]
        low, high = min(e.low for e in seen), max(e.high for e in seen)
        room = 0.04 * (high - low) or 0.01
        low, high = low - room, high + room
        if board.metric in words.SHARES:
            low, high = max(low, 0.0), min(high, 1.0)
        return cls(low, high)

    def percent(self, value: float) -> float:
        """Place of a value across the bar, 3 to 97, so that marks at the ends are whole."""
        place = (value - self.low) / (self.high - self.low)
        return round(3 + 94 * min(max(place, 0.0), 1.0), 2)

    def outside(self, value: float) -> bool:
        return not self.low <= value <= self.high

    def ticks(self) -> list[float]:
        """Two to five round values."""
        raw = (self.high - self.low) / 3
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [round(n * step, 10) for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _family(board: Board, figures: Figures, row: Row) -> dict[str, Any]:
    gain = None
    if row.against_baseline and board.strongest_baseline:
        effect = row.against_baseline
        gain = {
            "difference": figures.signed(board.metric, effect.difference),
            "interval": figures.signed_interval(board.metric, effect.low, effect.high),
            "unit": words.points(board.metric),
            "baseline": board.strongest_baseline.evaluated.title.lower(),
            "beats": row.beats_baselines,
        }
    return {
        "family": row.evaluated.family,
        "title": words.family_title(row.evaluated.family),
        "best": words.label(board, row),
        "models": sum(other.evaluated.family == row.evaluated.family for other in board.neural),
        "value": figures.value(board.metric, row.estimate.value),
        "interval": figures.interval(board.metric, row.estimate.low, row.estimate.high),
        "gain": gain,
        "costs": [(words.COST_TITLES[name], words.cost(name, row.cost(name))) for name in COSTS],
    }


def _row(board: Board, figures: Figures, scale: Scale, row: Row) -> dict[str, Any]:
    e, estimate, cost = row.evaluated, row.estimate, row.evaluated.cost
    metric = board.metric
    latency = (cost.get("latency_ms") or {}).get("1") or {}
    rate = (cost.get("samples_per_second") or {}).get("64")
    budget = words.budget(row)
    used = None
    if budget and budget["allowed"]:
        used = float(np.mean(budget["used_per_seed"])) / budget["allowed"]
    return {
        "row": row,
        "e": e,
        "family": words.family_title(e.family),
        "is_best": row is board.best,
        "is_champion": e.experiment == board.champion,
        "value": figures.value(metric, estimate.value),
        "interval": figures.interval(metric, estimate.low, estimate.high),
        "bar": {
            "outside": scale.outside(estimate.value),
            "left": estimate.value < scale.low,
            "value": scale.percent(estimate.value),
            "low": scale.percent(estimate.low),
            "high": scale.percent(estimate.high),
            "best": scale.percent(board.best.estimate.value),
            "seeds": [scale.percent(v) for v in estimate.per_seed] if len(estimate.per_seed) > 1 else [],
            "text": f"{figures.value(metric, estimate.value)}, interval "
            f"{figures.interval(metric, estimate.low, estimate.high)}; seeds: "
            + ", ".join(figures.bare(metric, v) for v in estimate.per_seed),
        },
        "to_best": _effect(figures, metric, row.against_best),
        "p": words.p_value(row.p_holm),
        "to_baseline": _effect(figures, metric, row.against_baseline),
        "p_baseline": words.p_value(row.baseline_p_holm),
        "baseline_note": words.baseline_note(
            row.beats_baselines, board.sign * row.against_baseline.difference if row.against_baseline else 0.0
        ),
        "expected": None if row.expected is None else figures.value(metric, row.expected),
        "parameters": (cost.get("parameters"), words.count(cost.get("parameters"))),
        "flops": (cost.get("flops"), words.count(cost.get("flops"))),
        "train": (cost.get("train_seconds"), words.seconds(cost.get("train_seconds"))),
        "p50": (latency.get("p50"), words.milliseconds(latency.get("p50"))),
        "p99": (latency.get("p99"), words.milliseconds(latency.get("p99"))),
        "rate": (rate, words.count(rate)),
        "memory": (cost.get("peak_memory_mb"), words.megabytes(cost.get("peak_memory_mb"))),
        "budget": (used, words.budget_text(row), words.stopped_text(row)),
    }


def _effect(figures: Figures, metric: str, effect: Any) -> dict[str, Any] | None:
    if effect is None:
        return None
    return {
        "sort": effect.difference,
        "difference": figures.signed(metric, effect.difference),
        "interval": figures.signed_interval(metric, effect.low, effect.high),
        "d": "–" if effect.d is None else f"{effect.d:+.2f}".replace("-", "−"),
    }


def _reliability(board: Board, figures: Figures) -> dict[str, Any]:
    names = [n for n in board.best.evaluated.metrics if all(n in row.evaluated.metrics for row in board.rows)]
    return {
        "note": words.metric_notes(names),
        "metrics": [(name, words.metric_title(name), name in words.LOWER_IS_BETTER) for name in names],
        "rows": [
            {
                "e": row.evaluated,
                "family": words.family_title(row.evaluated.family),
                "cells": [
                    (m.value, figures.value(name, m.value), figures.interval(name, m.low, m.high))
                    for name, m in ((name, row.evaluated.metrics[name]) for name in names)
                ],
            }
            for row in board.rows
        ],
        "bounds": [
            (title, [(figures.value(n, made[n]) if n in made else None) for n in names])
            for title, made in _bounds(board)
        ],
    }


def _bounds(board: Board) -> list[tuple[str, dict[str, float]]]:
    """What training images and noise would have in place of made ones, where the task says."""
    made = next((row.evaluated.generated for row in board.rows if row.evaluated.generated), None)
    return [("Training images", made.floor), ("Noise", made.ceiling)] if made else []


def _labels(board: Board, figures: Figures) -> dict[str, Any]:
    """The table beside the plot of label efficiency, and the networks that learnt from one share alone."""
    shares = sorted({e.labels: words.label_share(e) for curve in board.curves for e in curve.points}.items())
    drawn = {e.experiment for curve in board.curves for e in curve.points}
    rows = []
    for curve in board.curves:
        at = {e.labels: e.estimate for e in curve.points}
        rows.append(
            {
                "title": curve.title,
                "family": curve.points[0].family,
                "cells": [
                    (m.value, figures.value(board.metric, m.value), figures.interval(board.metric, m.low, m.high))
                    if (m := at.get(share))
                    else None
                    for share, _ in shares
                ],
            }
        )
    return {
        "shares": [title for _, title in shares],
        "rows": rows,
        "alone": [
            f"{e.title} ({e.experiment}, {words.label_share(e)})" for e in board.partial if e.experiment not in drawn
        ],
    }


# Pictures.


def _group(group: disagreement.Group, gallery: Gallery | None) -> dict[str, Any]:
    shown = [case for case in group.cases if case.row is not None][:PICTURES] if gallery else []
    return {
        "family": group.family,
        "title": words.family_title(group.family) if group.family else None,
        "total": len(group.cases),
        "cases": [(case, *_exhibit(gallery, case.row)) for case in shown if gallery and case.row is not None],
    }


def _exhibit(gallery: Gallery, row: int) -> tuple[str | None, str | None]:
    """A picture, or else a text, cut where it is long."""
    if gallery.inputs is not None:
        return _picture(gallery.inputs[row]), None
    text = gallery.texts[row]
    return None, text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT].rsplit(" ", 1)[0] + " …"


def _picture(pixels: NDArray[np.uint8]) -> str:
    """A [channel height width] picture as the URI of a PNG."""
    from PIL import Image

    # One channel is grey; of more than three only the first three can be shown.
    grid = pixels[0] if len(pixels) < 3 else np.moveaxis(pixels[:3], 0, -1)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grid)).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


# What networks that make images made.


def _main(e: Evaluated) -> str | None:
    """The kind of picture that shows a network's work best."""
    kinds = {picture.kind for picture in e.pictures}
    return next((kind for kind in pictures.MAIN if kind in kinds), None)


def _maker(board: Board, figures: Figures, row: Row) -> dict[str, Any]:
    """The pictures of one network, those of its first seed but for samples."""
    e, main = row.evaluated, _main(row.evaluated)
    assert main is not None
    kind, first = pictures.MAIN[main], e.examples.seeds[0]
    label = words.label(board, row)
    of_seed = {(picture.kind, picture.seed): picture for picture in e.pictures}
    more = [(one.title, one.note, of_seed.get((name, first))) for name, one in pictures.MORE.items()]
    others = [(f"{kind.title}, seed {seed}", kind.note, of_seed.get((main, seed))) for seed in e.examples.seeds[1:]]
    films = e.training.films if e.training else {}
    return {
        "label": label,
        "family": e.family,
        "value": figures.value(board.metric, row.estimate.value),
        "seeds": len(e.examples.seeds),
        "main": (kind, pictures.shown(of_seed[main, first].pixels, pictures.LARGE)),
        "classes": words.classes_made(e.generated) if e.generated else None,
        "counts": _counts(e),
        "film": _film(films[first]) if first in films else None,
        "troubles": words.troubles(e),
        "more": [
            (title, note, pictures.shown(picture.pixels, pictures.SMALL))
            for title, note, picture in [*more, *others[: pictures.SEEDS - 1]]
            if picture
        ],
    }


def _film(film: Film) -> dict[str, Any]:
    """A strip of frames; `frame` is (width, height) of one, `steps` how far up each is shown, in per cent of all."""
    strip = pictures.shown(film.pixels, pictures.LARGE)
    each = (strip.height - GAP) / len(film.epochs)
    return {
        "strip": strip,
        "epochs": film.epochs,
        "frame": (strip.width, round(each + GAP)),
        "steps": [round(100 * i * each / strip.height, 3) for i in range(len(film.epochs))],
    }


def _counts(e: Evaluated) -> list[tuple[str, int, int]]:
    """Each class, how many images of it all seeds made, and that in per cent of the most; none where they are many."""
    if e.generated is None or len(e.generated.classes) > MOST_CLASSES:
        return []
    total = np.sum(list(e.generated.counts.values()), axis=0)
    return [
        (name, int(count), round(100 * count / total.max()))
        for name, count in zip(e.generated.classes, total, strict=True)
    ]


def _repairs(board: Board, figures: Figures) -> dict[str, Any] | None:
    """The same images with their holes, repaired by every row of the board, and whole; the worst and best of each."""
    found = []
    for row in board.rows:
        first = row.evaluated.examples.seeds[0]
        own = {picture.kind: picture.pixels for picture in row.evaluated.pictures if picture.seed == first}
        if pictures.REPAIRS in own:
            found.append((row, own))
    if not found:
        return None

    def strip(pixels: NDArray[np.uint8], row: int) -> pictures.Shown:
        return pictures.shown(pictures.strip(pixels, row, 3), pictures.SMALL)

    some = found[0][1][pictures.REPAIRS]
    return {
        "broken": strip(some, 0),
        "whole": strip(some, 2),
        "rows": [
            {
                "label": words.label(board, row),
                "family": row.evaluated.family,
                "value": figures.value(board.metric, row.estimate.value),
                "strip": strip(own[pictures.REPAIRS], 1),
                "troubles": words.troubles(row.evaluated),
                "film": _film(row.evaluated.training.films[first])
                if row.evaluated.training and (first := row.evaluated.examples.seeds[0]) in row.evaluated.training.films
                else None,
                "cases": [
                    (title, pictures.shown(own[kind], pictures.SMALL))
                    for kind, title in pictures.CASES.items()
                    if kind in own
                ],
            }
            for row, own in found
        ],
    }


def _explained(e: Evaluated) -> list[dict[str, Any]]:
    """Each explained text as runs of words, [before, text, per cent of the strongest, score, spoken of]."""
    cases = []
    for one in e.explanations:
        strongest = max((abs(word.score) for word in one.words), default=0.0) or 1.0
        parts: list[list[Any]] = [[]]
        for number, word in enumerate(one.words):
            if word.special:
                # Between the two [SEP] of a question stands its context.
                parts.append([])
                continue
            shade = round(100 * word.score / strongest)
            score = f"{word.score:+.2f}".replace("-", "−")
            parts[-1].append((" " if word.space else "", word.text, shade, score, number in one.about))
        named = [one.words[n] for n in one.about if not one.words[n].special]
        cases.append(
            {
                "one": one,
                "parts": [part for part in parts if part],
                # Of a tag, the word that has it; an answer is its own words, a class that of all.
                "of": named[0].text if len(named) == 1 and named[0].text != one.answer else None,
                "sure": f"{100 * one.confidence:.0f} %",
                "gain": f"{one.gain:+.2f}".replace("-", "−"),
            }
        )
    return cases


# Where each number comes from.


def _provenance(e: Evaluated) -> dict[str, Any]:
    return {
        "e": e,
        "family": words.family_title(e.family),
        "commits": words.commits(e.runs),
        "environment": e.environment,
        "settings": words.settings(e),
        "runs": e.runs,
    }


# What the page's script draws.


def _numbers(board: Board) -> dict[str, Any]:
    figures, scale = Figures.of(board), Scale.of(board)
    best = board.best.evaluated
    baseline = board.strongest_baseline
    return {
        "metric": words.metric_title(board.metric),
        "share": board.metric in words.SHARES,
        "max": board.direction == "max",
        "decimals": figures.decimals,
        "domain": [scale.low, scale.high],
        "classes": best.confusion.classes if best.confusion else [],
        "labels": {
            "baseline": [baseline.evaluated.title, baseline.estimate.value] if baseline and board.labels == 1 else None,
            "lines": [
                {
                    "title": curve.title,
                    "style": _family_class(curve.points[0].family),
                    "fresh": curve.fresh,
                    "points": [
                        [e.labelled, e.labels, e.estimate.value, e.estimate.low, e.estimate.high] for e in curve.points
                    ],
                }
                for curve in board.curves
            ],
        },
        "rows": [
            {
                "key": row.evaluated.experiment,
                "rank": row.rank,
                "title": words.label(board, row),
                "family": words.family_title(row.evaluated.family),
                "style": _family_class(row.evaluated.family),
                "baseline": row.evaluated.baseline,
                "value": row.estimate.value,
                "low": row.estimate.low,
                "high": row.estimate.high,
                "costs": {name: row.cost(name) for name in COSTS},
                "front": row.pareto,
                "confusion": [
                    [actual, predicted, n]
                    for actual, line in enumerate(row.evaluated.confusion.matrix if row.evaluated.confusion else ())
                    for predicted, n in enumerate(line)
                    if n
                ],
                "curves": _curves(row.evaluated),
                # Attention in per cent, as whole numbers: a shade shows no more.
                "attention": [
                    {
                        "words": [word.text for word in one.words],
                        "about": one.about,
                        "rows": [[round(100 * share) for share in line] for line in one.attention],
                    }
                    for one in row.evaluated.explanations
                    if one.attention
                ],
            }
            for row in board.rows
        ],
    }


def _curves(e: Evaluated) -> dict[str, list[list[float | None]]]:
    """A list for each of _CURVES for each seed."""
    if e.training is None:
        return {}
    curves = {}
    for seed, rows in e.training.curves.items():
        every = max(1, math.ceil(len(rows) / CURVE_POINTS))
        kept = [row for i, row in enumerate(rows) if i % every == 0 or i == len(rows) - 1]
        names = (*_CURVES, *GAME_COLUMNS) if e.training.films else _CURVES
        curves[str(seed)] = [[_short(row[_COLUMNS.index(name)]) for row in kept] for name in names]
    return curves


def _short(number: float | None) -> float | None:
    """Five digits, which is more than a plot can show."""
    return None if number is None else float(f"{number:.5g}")
