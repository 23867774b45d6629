"""The command line. It imports what a command needs when the command runs: --help and check answer at once."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from quintet.errors import UserError, unknown

_STAGES = {
    "prepare": ("data set", "turn a data set into training, validation and test splits"),
    "baseline": ("baseline", "fit and measure the baselines of one entry under `baselines`"),
    "train": ("experiment", "train every seed of an experiment; a killed training goes on from its last checkpoint"),
    "pretrain": ("pre-training", "train an entry under `pretraining`, which others start from"),
    "finetune": ("fine-tuning", "train an entry under `finetuning`, from what a pre-training left"),
    "evaluate": ("experiment", "measure a trained experiment on the test split"),
}
_INPUTS = (
    "a file, or a folder with all below it: pictures; a text in each .txt; or .csv, .tsv and .jsonl with a column "
    "`text`, of questions with the columns `question` and `context`"
)
_CHAMPION = "such as classification-digits; the task is enough where it has one data set"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a mistake of the user's ends in one line and status 2."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO if options.verbose else logging.WARNING)
    logging.getLogger("quintet").setLevel(logging.INFO)
    # A reader that went away, as in `quintet catalogue | head`, is no error of ours.
    try:
        options.run(options)
        sys.stdout.flush()
    except UserError as e:
        sys.exit(_fail(str(e)))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> int:
    sys.stderr.write(f"quintet: {message}\n")
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quintet",
        description="Compare CNN, Transformer, BERT, RNN and GAN on your data. Settings stand in params.yaml; "
        "`dvc repro` runs all that is stale, the commands below are its stages and some help.",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show what libraries have to say as well")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (noun, text) in _STAGES.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.add_argument("name", metavar=noun.upper().replace(" ", "-"), help=f"the {noun}'s name in params.yaml")
        command.set_defaults(run=_stage, stage=name)
    command = commands.add_parser("report", help="compare everything that was evaluated; writes outputs/report")
    command.set_defaults(run=_report)
    command = commands.add_parser("leaderboard", help="show the last report's leaderboard and where its page lies")
    command.set_defaults(run=_leaderboard)
    command = commands.add_parser("sync", help="bring MLflow up to date with the runs in outputs, restored ones too")
    command.set_defaults(run=_sync)
    command = commands.add_parser("serve", help="serve the champion of a task and data set over HTTP, until Ctrl-C")
    command.add_argument("name", metavar="NAME", help=_CHAMPION)
    command.add_argument("--host", default="127.0.0.1", help="the address to listen on; this machine alone by default")
    command.add_argument("--port", type=int, default=5001, help="5001 by default; 0: any that is free")
    command.set_defaults(run=_serve)
    command = commands.add_parser("predict", help="let the champion of a task and data set answer files and folders")
    command.add_argument("name", metavar="NAME", help=_CHAMPION)
    command.add_argument("inputs", metavar="INPUT", type=Path, nargs="+", help=_INPUTS)
    command.add_argument(
        "--out", type=Path, required=True, help="the table to write: .csv, .jsonl or .parquet; for pictures, a folder"
    )
    command.add_argument(
        "--on-bad",
        choices=("fail", "skip"),
        default="fail",
        help="what to do about an input that can not be read: end there, or leave it out and list it at the end",
    )
    command.set_defaults(run=_predict)
    command = commands.add_parser("check", help="check params.yaml, without running anything")
    command.set_defaults(run=_check)
    command = commands.add_parser(
        "plan", help="say which stages would run and why, and how long, how much memory and disk that should take"
    )
    command.add_argument(
        "--stages", nargs="+", metavar="STAGE", help="only these and what they need: 'train@a', 'train', '*@a'"
    )
    command.add_argument("--slots", type=int, metavar="N", help="stages at a time (default: the cores of this machine)")
    command.add_argument("--budget", metavar="TIME", help="say what would not be done within this time, such as 2h")
    command.set_defaults(run=_plan)
    command = commands.add_parser(
        "catalogue", help="list the models, data sets and tasks there are, with their settings"
    )
    command.add_argument("name", nargs="?", help="a family or a model: show its settings")
    command.set_defaults(run=_catalogue)
    command = commands.add_parser("suite", help="list the ready-made suites, or put one in force")
    command.add_argument("name", nargs="?", help="the suite to put in force; without it they are listed")
    command.add_argument("-n", "--dry-run", action="store_true", help="only show what would change")
    command.set_defaults(run=_suite)
    return parser


def _stage(options: argparse.Namespace) -> None:
    from quintet import config
    from quintet.experiment import STAGES
    from quintet.stages.spared import spare

    # All of the suite is checked, by whichever stage comes first, before any work is done.
    suite = config.load(Path())
    stage, name = options.stage, options.name
    declared: dict[str, Mapping[str, object]] = {
        "prepare": suite.data,
        "baseline": suite.baselines,
        **{
            stages[0]: {name: made for name, made in suite.experiments.items() if made.section == section}
            for section, stages in STAGES.items()
        },
        "evaluate": suite.experiments,
    }
    if name not in declared[stage]:
        raise unknown(config.PARAMS, _STAGES[stage][0], name, declared[stage])
    spare(stage)
    if stage == "prepare":
        from quintet.stages.prepare import prepare

        prepare(name, suite.data[name].section)
    elif stage == "baseline":
        from quintet.stages.baseline import baseline

        baseline(name)
    elif stage == "evaluate":
        from quintet.stages.evaluate import evaluate

        evaluate(name, suite.experiments[name].section)
    else:
        from quintet.stages.train import train

        train(name, suite.experiments[name].section)


def _report(options: argparse.Namespace) -> None:
    from quintet.stages.report import report

    report()


def _leaderboard(options: argparse.Namespace) -> None:
    from quintet.stages.report import leaderboard

    print(leaderboard())


def _sync(options: argparse.Namespace) -> None:
    from quintet.stages.report import sync

    print(sync())


def _serve(options: argparse.Namespace) -> None:
    from quintet.tracking.server import serve
    from quintet.tracking.store import Store

    serve(Store(), options.name, options.host, options.port, say=lambda line: print(line, flush=True))


def _predict(options: argparse.Namespace) -> None:
    import tempfile

    from quintet.serving.files import predict_files
    from quintet.tracking.registry import champion_named, model_files
    from quintet.tracking.serving import load_adapter
    from quintet.tracking.store import Store

    store = Store()
    found = champion_named(store, options.name)
    with tempfile.TemporaryDirectory() as folder:
        adapter = load_adapter(model_files(store, found, Path(folder)))
        result = predict_files(adapter, options.inputs, options.out, skip_bad=options.on_bad == "skip")
    for name, reason in result.bad.items():
        sys.stderr.write(f"{name}: {reason}\n")
    left_out = [f"{len(result.bad)} left out"] if result.bad else []
    passed = [f"{len(result.passed_over)} files of other kinds passed over"] if result.passed_over else []
    by = f"by {found.name} version {found.version} ({found.tags.get('experiment')})"
    print("; ".join([f"{options.out}: {result.answered} answers {by}", *left_out, *passed]))


def _check(options: argparse.Namespace) -> None:
    from quintet import config

    suite = config.load(Path())
    print(
        f"params.yaml is sound: suite {suite.suite}, {len(suite.data)} data set(s), "
        f"{len(suite.experiments)} experiment(s), {suite.trainings} training(s), seeds counted"
    )


def _plan(options: argparse.Namespace) -> None:
    from quintet.graph.duration import parse_duration, say_duration
    from quintet.graph.plan import make_plan, text

    budget = None if options.budget is None else parse_duration("--budget", options.budget)
    plan = make_plan(Path(), options.stages, options.slots)
    lacking = plan.lacks(Path(), budget)
    print("\n".join([text(plan), *lacking]))
    if budget is not None and not lacking:
        print(f"fits in {say_duration(budget)}")


def _catalogue(options: argparse.Namespace) -> None:
    from quintet.catalogue import listing

    print(listing(options.name))


def _suite(options: argparse.Namespace) -> None:
    from quintet.suites import put_in_force, show

    if options.name is None:
        print(show(Path()))
    else:
        print(put_in_force(Path(), options.name, dry_run=options.dry_run))
