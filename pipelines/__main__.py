"""Run the flow, and serve the UIs."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from pipelines import servers
from quintet.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """0 when all is well, 1 when a stage failed, 2 for a mistake of the user's, 130 when interrupted."""
    given = _parser().parse_args(arguments)
    root = Path(given.root).resolve()
    # Prefect reads its settings when it is imported, so it is imported below, after this.
    os.environ.update(servers.server_environment(root))
    # TERM ends us the way Ctrl-C does: stages are ended and the run says Cancelled.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return int(given.do(root, given))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    parser.add_argument("--root", default=".", help="folder that holds dvc.yaml (default: this one)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="bring all stages up to date, several at a time")
    run.add_argument(
        "--stages", nargs="+", metavar="STAGE", help="only these and what they need: 'train@a', 'train', '*@a'"
    )
    run.add_argument(
        "--slots", type=int, metavar="N", help="CPU slots to share out (default: the cores of this machine)"
    )
    run.add_argument(
        "--force", action="store_true", help="run the named stages (all, if none) even where nothing changed"
    )
    stop = run.add_mutually_exclusive_group()
    stop.add_argument("--keep-going", dest="keep_going", action="store_true", default=True,
                      help="after a failure go on with what does not depend on it (default)")  # fmt: skip
    stop.add_argument("--fail-fast", dest="keep_going", action="store_false", help="after a failure start nothing more")
    run.set_defaults(do=_run)

    plan = commands.add_parser("plan", help="say which stages would run, why, and how long that should take")
    plan.add_argument("--stages", nargs="+", metavar="STAGE", help="only these and what they need")
    plan.add_argument(
        "--slots", type=int, metavar="N", help="CPU slots to share out (default: the cores of this machine)"
    )
    plan.add_argument(
        "--budget", metavar="TIME", help="say what would not be done within this time, such as 2h or 45min"
    )
    plan.set_defaults(do=_plan)

    ui = commands.add_parser("ui", help="serve Prefect with a worker, MLflow and the report until Ctrl-C")
    ui.add_argument(
        "--host", default=servers.LOOPBACK, help="address to listen on (default: %(default)s, this machine only)"
    )
    ui.add_argument("--prefect-port", type=int, default=4200, metavar="N", help="default: %(default)s, or a free one")
    ui.add_argument("--mlflow-port", type=int, default=5000, metavar="N", help="default: %(default)s, or a free one")
    ui.add_argument("--watch", nargs="+", default=["data/raw"], metavar="FOLDER",
                    help="folders whose change starts the deployment on-new-data (default: %(default)s)")  # fmt: skip
    ui.set_defaults(do=_ui)

    watch = commands.add_parser("watch", help="start the deployment on-new-data whenever a folder changes")
    watch.add_argument("folders", nargs="+", metavar="FOLDER")
    watch.add_argument(
        "--every", type=float, default=10.0, metavar="SECONDS", help="between looks (default: %(default)s)"
    )
    watch.set_defaults(do=_watch)
    return parser


def _run(root: Path, given: argparse.Namespace) -> int:
    from pipelines.graph import read_graph
    from pipelines.slots import Slots

    # What the user can have mistyped shows now, not after a server has started.
    graph = read_graph(root)
    graph.select(given.stages or ())
    Slots(1 if given.slots is None else given.slots, ())
    _report_to_a_server(root)
    from pipelines.flow import run_pipeline

    state = run_pipeline(os.fspath(root), given.stages, given.slots, given.force, given.keep_going, return_state=True)
    print(state.message)
    if state.is_cancelled():
        return 130
    return 0 if state.is_completed() else 1


def _plan(root: Path, given: argparse.Namespace) -> int:
    from pipelines.duration import parse_duration, say_duration
    from pipelines.graph import read_graph, why_stale
    from pipelines.plan import does_not_fit, expected_seconds, finish_times, plan_rows, read_durations
    from pipelines.schedule import reasons_to_run
    from pipelines.slots import Slots, cores

    budget = None if given.budget is None else parse_duration("--budget", given.budget)
    graph = read_graph(root)
    graph = graph.select(given.stages) if given.stages else graph
    slots = Slots(cores() if given.slots is None else given.slots, ()).cpus
    reasons = reasons_to_run(graph, why_stale(root))
    expected = expected_seconds(graph, read_durations(root))
    for row in plan_rows(graph, reasons, expected):
        print(f"{row['stage']:<28} {row['will']:<12} {row['expected']:>12}  {row['why']}")

    known = {name: seconds for name in reasons if (seconds := expected[name]) is not None}
    unknown = [name for name in reasons if name not in known]
    ends = finish_times(graph, known, slots)
    time_needed = say_duration(max(ends.values(), default=0.0))
    noun = "slot" if slots == 1 else "slots"
    rest = f", and without {len(unknown)} that nothing is known of" if unknown else ""
    print(f"{len(reasons)} of {len(graph.stages)} stages to run, at most {time_needed} with {slots} {noun}{rest}")
    if budget is not None:
        late = does_not_fit(ends, budget)
        for name, end in late.items():
            print(f"does not fit in {say_duration(budget)}: {name} would end after {say_duration(end)}")
        if not late:
            print(f"fits in {say_duration(budget)}")
    return 0


def _report_to_a_server(root: Path) -> None:
    """Points Prefect to the server there is, or else to one of our own that ends with us."""
    given = os.environ.get("PREFECT_API_URL")
    running = servers.running_server(root)
    if given and running != given:
        print(f"PREFECT_API_URL: {given} does not answer; using {running or 'a server of our own'}", file=sys.stderr)
    if running is None:
        stack = contextlib.ExitStack()
        running = f"{stack.enter_context(servers.prefect_server(root)).wait()}/api"
        # Prefect sends the last logs and states as threads are shut down, which comes before this.
        atexit.register(stack.close)
    os.environ["PREFECT_API_URL"] = running


def _ui(root: Path, given: argparse.Namespace) -> int:
    from pipelines.deploy import POOL, deploy, settle_lost_runs, skip_missed_runs

    log = root / ".prefect"
    with contextlib.ExitStack() as stack:
        # All three start at the same time; MLflow takes longest.
        prefect_server = stack.enter_context(servers.prefect_server(root, given.prefect_port, given.host))
        mlflow_server = stack.enter_context(servers.mlflow_ui(root, given.mlflow_port, given.host))
        report_server = stack.enter_context(servers.folder_server(root, root / "outputs" / "report", given.host))
        print(f"Report   {report_server.wait()}/\nPrefect  {prefect_server.wait()}", flush=True)
        os.environ["PREFECT_API_URL"] = api = f"{prefect_server.address}/api"
        if deployments := (root / "prefect.yaml").is_file():
            deploy(root, api, os.environ)
            skip_missed_runs(api)
            watch = [sys.executable, "-m", "pipelines", "--root", os.fspath(root), "watch", *given.watch]
            stack.enter_context(servers.guarded(watch, root, log / "watch.log"))
            print(f"         with a worker for its deployments; watched: {', '.join(given.watch)}", flush=True)
        served = {"prefect": prefect_server, "mlflow": mlflow_server, "report": report_server}
        stack.enter_context(servers.written_down(root, {name: server.address for name, server in served.items()}))
        print(f"MLflow   {mlflow_server.wait()}\nCtrl-C stops them.", flush=True)
        worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        while deployments:
            settle_lost_runs(root, api)
            with servers.guarded(worker, root, log / "worker.log") as process:
                process.wait()
            print("The worker ended (.prefect/worker.log says why); starting another.", flush=True)
            time.sleep(1)
        while True:
            time.sleep(3600)


def _watch(root: Path, given: argparse.Namespace) -> int:
    from pipelines.watch import watch

    api = servers.running_server(root)
    if api is None:
        raise UserError("PREFECT_API_URL", "no Prefect server answers", "start 'python -m pipelines ui', or set it")
    watch(root, given.folders, api, given.every)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
