"""How figures and findings are put, in one place for the page, Markdown and the terminal.

Findings mark what matters with **two stars**, as Markdown does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quintet.report.collect import CURVE_COLUMNS, GAME_COLUMNS, Evaluated, Generated
from quintet.report.compare import Board, Row

FAMILY_TITLES = {
    "cnn": "CNN",
    "transformer": "Transformer",
    "bert": "BERT",
    "rnn": "RNN",
    "gan": "GAN",
    "hybrid": "Hybrid",
    "baseline": "Baseline",
}
METRIC_TITLES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "nll": "Negative log-likelihood",
    "calibration_error": "Calibration error",
    "entity_f1": "Entity F1",
    "answer_f1": "Answer F1",
    "next_accuracy": "Next-sentence accuracy",
    "masked_accuracy": "Masked-word accuracy",
    "frechet_distance": "Fréchet distance",
    "kernel_distance": "Kernel distance",
    "copied": "Copies of training images",
    "inception_fid": "Inception FID",
    "inception_kid": "Inception KID",
    "psnr": "Signal-to-noise ratio (dB)",
    "ssim": "SSIM",
    "absolute_error": "Absolute error",
    "transfer": "Transfer (content and style)",
}
# What else a training is watched by.
LOSS_TITLES = {
    "train_loss": "Training loss",
    "validation_loss": "Validation loss",
    "generator_loss": "Generator's loss",
    "discriminator_right": "Discriminator right",
    "diversity": "Diversity",
}
_COLUMNS = (*CURVE_COLUMNS, *GAME_COLUMNS)
# By which curve a trouble of training is seen.
_WATCHED = {"collapse": "diversity", "saturation": "discriminator_right"}
# What a task's validation loss is, where it is no loss.
VALIDATION_LOSSES = {
    "generation": "Validation Fréchet distance",
    "inpainting": "Validation absolute error",
    "style_transfer": "Validation transfer, what is missing to 1",
}
# Shares are read as percentages; their differences are points.
SHARES = {
    *("accuracy", "macro_f1", "calibration_error", "entity_f1", "entity_precision", "entity_recall", "word_accuracy"),
    *("answer_f1", "exact_match", "masked_accuracy", "next_accuracy"),
    *("coverage", "precision", "recall", "class_accuracy", "copied"),
}
# Metrics of which less is better.
LOWER_IS_BETTER = {
    *("nll", "calibration_error", "perplexity", "absolute_error", "cycle_error"),
    *("frechet_distance", "kernel_distance", "inception_fid", "inception_kid"),
}
# What a metric tells, where its name does not.
METRIC_NOTES = {
    "macro_f1": "Macro-F1 shows whether small classes suffer.",
    "calibration_error": "Calibration error shows whether probabilities can be trusted.",
    "entity_f1": "An entity counts as found where its first word, its last word and its type are all right.",
    "answer_f1": "Answer F1 counts the words that an answer shares with the true one.",
    "exact_match": "Exact match wants the whole answer, but for case, punctuation and articles.",
    "next_accuracy": "Of the pairs of sentences half do follow each other.",
    "perplexity": "Perplexity is that of the hidden words.",
    "frechet_distance": "Distances are between features of a network trained here, not comparable with published FIDs.",
    "inception_fid": "Those named Inception are between features of Inception v3, from the file that was given.",
    "recall": "Recall falls where kinds of images are never made.",
    "copied": "One in a hundred of a fair generator's images counts as a copy.",
}
COST_TITLES = {
    "train_seconds": "training time",
    "parameters": "parameters",
    "flops": "FLOPs",
    "latency": "latency",
}


def family_title(family: str) -> str:
    return FAMILY_TITLES.get(family, family)


def metric_title(metric: str) -> str:
    return METRIC_TITLES.get(metric, metric.replace("_", " ").capitalize())


def loss_title(board: Board, column: str) -> str:
    if column == "validation_loss" and board.task in VALIDATION_LOSSES:
        return VALIDATION_LOSSES[board.task]
    return LOSS_TITLES[column]


def within(title: str) -> str:
    """A title inside a sentence: 'entity F1'."""
    return title[:1].lower() + title[1:]


@dataclass(frozen=True)
class Figures:
    """Writes a board's figures; more digits where there are enough answers to bear them."""

    decimals: int

    @classmethod
    def of(cls, board: Board) -> Figures:
        return cls.bearing(max(row.evaluated.examples.scores.size for row in board.rows))

    @classmethod
    def bearing(cls, answers: int) -> Figures:
        """For figures that rest on so many answers: examples times seeds."""
        return cls(2 if answers >= 10_000 else 1)

    def bare(self, metric: str, value: float) -> str:
        if metric in SHARES:
            return f"{100 * value:.{self.decimals}f}"
        # Four digits, as a perplexity of hundreds has no more to say than a loss of 0.123.
        size = abs(value)
        return f"{value:.{3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0}f}"

    def value(self, metric: str, value: float) -> str:
        return self.bare(metric, value) + (" %" if metric in SHARES else "")

    def interval(self, metric: str, low: float, high: float) -> str:
        return f"[{self.bare(metric, low)}, {self.bare(metric, high)}]"

    def signed(self, metric: str, difference: float) -> str:
        """With a sign: points for shares."""
        text = self.bare(metric, abs(difference))
        if not any(c in "123456789" for c in text):
            return "±" + text
        return ("+" if difference > 0 else "−") + text

    def signed_interval(self, metric: str, low: float, high: float) -> str:
        return f"[{self.signed(metric, low)}, {self.signed(metric, high)}]"


def metric_notes(metrics: Sequence[str]) -> str:
    """What a reader of a table of these metrics should know, in sentences."""
    notes = [METRIC_NOTES[metric] for metric in metrics if metric in METRIC_NOTES]
    lower = [metric_title(metric) for metric in metrics if metric in LOWER_IS_BETTER]
    if lower:
        named = listed([lower[0], *(within(title) for title in lower[1:])])
        notes.append(f"{named}: lower is better.")
    return " ".join(notes)


def p_value(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def count(n: float | None) -> str:
    """Three digits and k, M, G or T."""
    if n is None:
        return "–"
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        # 999.6 would print as 1000.
        if n >= 0.9995 * size:
            return f"{_three(n / size)}{unit}"
    return f"{n:.0f}" if n == round(n) else _three(n)


def seconds(n: float | None) -> str:
    if n is None:
        return "–"
    if n >= 3600:
        return f"{_three(n / 3600)} h"
    return f"{_three(n / 60)} min" if n >= 120 else f"{_three(n)} s"


def milliseconds(n: float | None) -> str:
    return "–" if n is None else f"{_three(n)} ms"


def megabytes(n: float | None) -> str:
    return "–" if n is None else f"{_three(n)} MB" if n < 1000 else f"{_three(n / 1000)} GB"


def cost(name: str, n: float | None) -> str:
    """One of `compare.COSTS` with its unit."""
    if name == "train_seconds":
        return seconds(n)
    return milliseconds(n) if name == "latency" else count(n)


def _three(n: float) -> str:
    if n < 0.0995:
        return f"{n:.2g}"
    return f"{n:.0f}" if n >= 99.95 else f"{n:.1f}" if n >= 9.995 else f"{n:.2f}"


def listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def label_share(e: Evaluated) -> str:
    """How much a network learnt from, as it was asked for: '10 % of the labels (692)' or '100 labels'."""
    if e.labels == 1:
        return f"all labels ({e.labelled:,})"
    return f"{e.labelled:,} labels" if e.labels_counted else f"{share(e.labels)} of the labels ({e.labelled:,})"


def label(board: Board, row: Row) -> str:
    """A row's title; with the experiment's name where two have the same title."""
    e = row.evaluated
    twins = sum(other.evaluated.title == e.title for other in board.rows)
    return e.title if twins == 1 else f"{e.title} ({e.experiment})"


def budget(row: Row) -> dict[str, Any] | None:
    """What the seeds used of what was allowed; None for baselines, which have no budget."""
    runs = [run for run in row.evaluated.runs if run.get("budget")]
    if not runs:
        return None
    return {
        "kind": runs[0]["budget"]["kind"],
        "allowed": runs[0]["budget"]["allowed"],
        "used_per_seed": [run["budget"]["used"] for run in runs],
        "stopped_by": [run["stopped_by"] for run in runs],
    }


def budget_text(row: Row) -> str:
    """For instance '24–30 of 30 epochs'."""
    terms = budget(row)
    if terms is None:
        return "–"
    low, high = f"{min(terms['used_per_seed']):.4g}", f"{max(terms['used_per_seed']):.4g}"
    used = low if low == high else f"{low}–{high}"
    return f"{used} of {terms['allowed']:.4g} {terms['kind']}"


def stopped_text(row: Row) -> str:
    terms = budget(row)
    if terms is None:
        return ""
    reasons = [str(reason).replace("_", " ") for reason in terms["stopped_by"]]
    if len(set(reasons)) == 1:
        return reasons[0]
    return ", ".join(f"{reasons.count(reason)} {reason}" for reason in sorted(set(reasons)))


def headline(board: Board) -> str:
    """Who is best, in a sentence."""
    best, figures = board.best, Figures.of(board)
    estimate = best.estimate
    on = f"On **{board.data}**" if board.labels == 1 else f"On **{board.data}**, with {label_share(best.evaluated)},"
    figure = (
        f"**{figures.value(board.metric, estimate.value)}** {within(metric_title(board.metric))} "
        f"{figures.interval(board.metric, estimate.low, estimate.high)}"
    )
    if best.evaluated.baseline:
        who = "no neural model is ahead of" if board.neural else "no neural model was measured on all labels beside"
        return f"{on} {who} the baseline **{label(board, best)}**: {figure}."
    return f"{on} the best is **{label(board, best)}** ({family_title(best.evaluated.family)}): {figure}."


def findings(board: Board) -> list[str]:
    """What else a reader should know, a sentence or two each, the most important first."""
    return [
        text
        for text in (
            _tie(board),
            _cheapest(board),
            _baselines(board),
            *_gains(board),
            _missing_classes(board),
            _troubles(board),
            _expectations(board),
            _champion(board),
        )
        if text
    ]


def _tie(board: Board) -> str:
    if len(board.rows) == 1:
        return ""
    if not board.tied:
        return f"**Nothing is tied with it**: on these {board.examples} test examples every other one is worse."
    names = [f"**{label(board, row)}**" for row in board.tied]
    return f"**Tied** with it, as far as {board.examples} test examples can tell: {listed(names)}."


def _cheapest(board: Board) -> str:
    group = [(row.cost("train_seconds"), row) for row in (board.best, *board.tied)]
    known = [(spent, row) for spent, row in group if spent is not None]
    if len(known) < 2:
        return ""
    spent, cheapest = min(known, key=lambda pair: (pair[0], pair[1].rank))
    if cheapest is board.best:
        return f"It is also the **cheapest to train** of these, {seconds(spent)} a seed."
    text = f"**Cheapest to train** of these: **{label(board, cheapest)}**, {seconds(spent)} a seed"
    of_best = board.best.cost("train_seconds")
    return text + (f" against {seconds(of_best)}." if of_best is not None else ".")


def _baselines(board: Board) -> str:
    baseline, figures = board.strongest_baseline, Figures.of(board)
    if baseline is None or not board.neural:
        return ""
    name = f"{baseline.evaluated.title.lower()} ({figures.value(board.metric, baseline.estimate.value)})"
    behind, unclear = [], []
    for row in board.neural:
        figure = figures.value(board.metric, row.estimate.value)
        if row.beats_baselines or row.against_baseline is None:
            continue
        if board.sign * row.against_baseline.difference <= 0:
            behind.append(f"**{label(board, row)}** ({figure})")
        else:
            unclear.append(f"**{label(board, row)}** ({figure}, p = {p_value(row.baseline_p_holm)})")
    if not behind and not unclear:
        return f"**Every neural model beats** {name}, the strongest baseline."
    sentences = []
    if behind:
        verb = "Does" if len(behind) == 1 else "Do"
        sentences.append(f"**{verb} not beat** {name}, the strongest baseline: {listed(behind)}.")
    if unclear:
        than = "it" if behind else f"{name}, the strongest baseline"
        sentences.append(f"**Not clearly better** than {than}: {listed(unclear)}.")
    return " ".join(sentences)


def _gains(board: Board) -> list[str]:
    """For each network and control a sentence with what is gained at each share of the labels."""
    figures = Figures.of(board)
    grouped: dict[tuple[str | None, str, str], list[str]] = {}
    for gain in board.gains:
        effect, p = gain.comparison, p_value(gain.p_holm)
        grouped.setdefault((gain.source, gain.control.title, gain.network.title), []).append(
            f"**{figures.signed(board.metric, effect.difference)}{points(board.metric)}** "
            f"{figures.signed_interval(board.metric, effect.low, effect.high)} "
            f"with {label_share(gain.network)}, p {p if p.startswith('<') else f'= {p}'}"
        )
    sentences = []
    for (source, control, title), parts in grouped.items():
        what = f"**{title}** against **{within(control)}** on as many labels"
        if source is not None:
            what = (
                f"**What pre-training buys** {title.removesuffix(', pre-trained')} ({source}), against the same "
                "network from scratch"
            )
        sentences.append(f"{what}: {'; '.join(parts)}.")
    return sentences


def never_made(made: Generated) -> dict[int, list[str]]:
    """For each seed that lacks some, the classes of which it made no image."""
    lacking = {
        seed: [name for name, count in zip(made.classes, counts, strict=True) if not count]
        for seed, counts in made.counts.items()
    }
    return {seed: names for seed, names in lacking.items() if names}


def classes_made(made: Generated) -> str:
    """For instance 'All 10 classes; fewest of 8 (3 of 120 images, all seeds)'."""
    if lacking := never_made(made):
        one = len(made.counts) == 1
        return "; ".join(
            f"**Never made{'' if one else f' by seed {seed}'}**: {_some(names)}" for seed, names in lacking.items()
        )
    total = [sum(of_class) for of_class in zip(*made.counts.values(), strict=True)]
    fewest = min(range(len(total)), key=total.__getitem__)
    return f"All {len(total)} classes; fewest of {made.classes[fewest]}, {total[fewest]} of {sum(total)} images"


def troubles(e: Evaluated) -> list[str]:
    """What training warned of, seed by seed, and how it ended."""
    if e.training is None:
        return []
    found = []
    for seed, film in e.training.films.items():
        for one in film.troubles:
            end = e.training.curves[seed][-1][_COLUMNS.index(_WATCHED[one.kind])]
            which = f"seed {seed}, " if len(e.training.films) > 1 else ""
            found.append(
                f"{which}epoch {one.epoch}: {one.what}" + (f"; at the end {100 * end:.0f} %" if end is not None else "")
            )
    return found


def _some(names: Sequence[str], most: int = 12) -> str:
    return listed(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


def _missing_classes(board: Board) -> str:
    """Whether every network makes every class."""
    made = [(row, row.evaluated.generated) for row in board.neural if row.evaluated.generated]
    if not made:
        return ""
    lacking = [(row, never_made(generated)) for row, generated in made]
    texts = [
        f"**{label(board, row)}** {_some(sorted({name for names in missing.values() for name in names}))}"
        + (
            f" ({len(missing)} of {len(row.evaluated.examples.seeds)} seeds)"
            if len(row.evaluated.examples.seeds) > 1
            else ""
        )
        for row, missing in lacking
        if missing
    ]
    if texts:
        return f"**Classes never made**, as the judge sees them: {'; '.join(texts)}."
    return f"Every network makes images of **all {len(made[0][1].classes)} classes**, as the judge sees them."


def _troubles(board: Board) -> str:
    lost = [f"**{label(board, row)}**, {text}" for row in board.neural for text in troubles(row.evaluated)]
    return f"**Warned of while training**: {'; '.join(lost)}." if lost else ""


def points(metric: str) -> str:
    """The unit of a difference."""
    return " points" if metric in SHARES else ""


def baseline_note(beats: bool | None, gain: float) -> str:
    """What to mark on a row; `gain` over the strongest baseline is positive where the row is better."""
    if beats is not False:
        return ""
    return "does not beat the baseline" if gain <= 0 else "not clearly above the baseline"


def _expectations(board: Board) -> str:
    figures = Figures.of(board)
    short = [
        f"**{label(board, row)}** ({figures.value(board.metric, row.estimate.value)} where "
        f"{figures.value(board.metric, row.expected)} was expected)"
        for row in board.rows
        if row.expected is not None and not row.expected_reached
    ]
    return f"**Below the figure expected**: {listed(short)}." if short else ""


def _champion(board: Board) -> str:
    if board.champion is None:
        return ""
    row = board.row(board.champion)
    if row is board.best:
        return f"**Champion**: **{label(board, row)}** is also the best on validation, where the choice is made."
    return f"**Champion**, chosen on validation and not on these test figures: **{label(board, row)}**."


def settings(e: Evaluated) -> dict[str, Any] | None:
    """Settings as used: a training's own, or what a baseline's run says."""
    if e.training:
        return e.training.settings
    return next((run["settings"] for run in e.runs if run.get("settings")), None)


def share(level: float) -> str:
    """'95 %' for 0.95."""
    return f"{100 * level:.4g} %"


def commits(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The commits that runs were made from, each once, in order of names."""
    return sorted({str(run["commit"]) for run in runs if run.get("commit")})
