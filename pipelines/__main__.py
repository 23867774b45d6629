"""`python -m pipelines`: run the flow, open the UIs."""

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
    os.environ.update(servers.prefect_environment(root))
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

    ui = commands.add_parser("ui", help="serve Prefect, MLflow and the report until Ctrl-C")
    ui.add_argument(
        "--host", default=servers.LOOPBACK, help="address to listen on (default: %(default)s, this machine only)"
    )
    ui.add_argument("--prefect-port", type=int, default=4200, metavar="N", help="default: %(default)s, or a free one")
    ui.add_argument("--mlflow-port", type=int, default=5000, metavar="N", help="default: %(default)s, or a free one")
    ui.set_defaults(do=_ui)
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


def _report_to_a_server(root: Path) -> None:
    """Points Prefect to the server there is, or else to one of our own that ends with us."""
    given = os.environ.get("PREFECT_API_URL")
    running = servers.running_server(root)
    if given and running != given:
        print(f"PREFECT_API_URL: {given} does not answer; using {running or 'a server of our own'}", file=sys.stderr)
    if running is None:
        stack = contextlib.ExitStack()
        running = f"{stack.enter_context(servers.prefect_server(root))}/api"
        # Prefect sends the last logs and states as threads are shut down, which comes before this.
        atexit.register(stack.close)
    os.environ["PREFECT_API_URL"] = running


def _ui(root: Path, given: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        prefect = stack.enter_context(servers.prefect_server(root, servers.free_port(given.prefect_port), given.host))
        mlflow = stack.enter_context(servers.mlflow_ui(root, servers.free_port(given.mlflow_port), given.host))
        report = stack.enter_context(servers.folder_server(root, root / "outputs" / "report", host=given.host))
        served = {"prefect": prefect, "prefect_api": f"{prefect}/api", "mlflow": mlflow, "report": report}
        stack.enter_context(servers.written_down(root, served))
        print(f"Prefect  {prefect}\nMLflow   {mlflow}\nReport   {report}\nCtrl-C stops them.", flush=True)
        while True:
            time.sleep(3600)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
