"""Run the flow, and serve the UIs."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
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
    run.add_argument("--suite", metavar="NAME", help="put this suite in force first (see `quintet suite`)")
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
    run.add_argument("--engine", choices=["local", "ray"], default="local",
                     help="this machine (default), or the Ray cluster at RAY_ADDRESS")  # fmt: skip
    run.set_defaults(do=_run)

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

    worker = commands.add_parser("worker", help="let a Ray cluster run stages on this machine, until Ctrl-C")
    worker.add_argument("address", metavar="ADDRESS", help="of the cluster's head, such as 10.0.0.1:6379")
    worker.add_argument("--workspace", metavar="FOLDER", help="where clones and their data lie "
                        "(default: QUINTET_WORKSPACE, else .prefect/workspace)")  # fmt: skip
    worker.add_argument("--cpus", type=int, metavar="N", help="CPU slots to offer (default: the cores of this machine)")
    worker.add_argument("--gpus", type=int, metavar="N", help="GPUs to offer (default: all)")
    worker.set_defaults(do=_worker)
    return parser


def _worker(root: Path, given: argparse.Namespace) -> int:
    from quintet.graph.plan import cores

    os.environ["QUINTET_WORKSPACE"] = os.path.abspath(
        given.workspace or os.environ.get("QUINTET_WORKSPACE") or root / ".prefect" / "workspace"
    )
    # Ray's own processes on this machine have to find `pipelines`.
    path = [os.fspath(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(path)
    # Else Ray kills the guard of a stage whose worker it ends, and nobody ends the stage.
    os.environ["RAY_kill_child_processes_on_worker_exit"] = "false"  # noqa: SIM112
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    command += ["--address", given.address, "--num-cpus", str(cores() if given.cpus is None else given.cpus)]
    command += [] if given.gpus is None else ["--num-gpus", str(given.gpus)]
    # The mark of machines that have a workspace; and little memory, since only code goes through Ray.
    command += ["--resources", '{"quintet": 1000}', "--object-store-memory", str(300 * 10**6)]
    os.execv(sys.executable, command)


def _run(root: Path, given: argparse.Namespace) -> int:
    from quintet.graph.plan import checked_slots
    from quintet.graph.stages import read_graph
    from quintet.suites import put_in_force

    # What the user can have mistyped shows now, not after a server has started.
    if given.suite:
        put_in_force(root, given.suite, dry_run=True)
    else:
        read_graph(root).select(given.stages or ())
    checked_slots(1 if given.slots is None else given.slots)
    _report_to_a_server(root)
    from pipelines import flow
    from pipelines.artifacts import server_answers

    try:
        state = flow.run_pipeline(
            os.fspath(root),
            given.suite,
            given.stages,
            given.slots,
            given.force,
            given.keep_going,
            given.engine,
            return_state=True,
        )
    except Exception:
        if flow.ended is None or server_answers():
            raise
        state = flow.ended
        print("Prefect's server went away and does not know how this run ended", file=sys.stderr)
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
        running = f"{stack.enter_context(servers.prefect_server(root)).wait()}/api"
        # Prefect sends the last logs and states as threads are shut down, which comes before this.
        atexit.register(stack.close)
    os.environ["PREFECT_API_URL"] = running


def _ui(root: Path, given: argparse.Namespace) -> int:
    from pipelines.deploy import POOL, deploy, settle_lost_runs, skip_missed_runs

    host, reports = given.host, root / "outputs" / "report"
    with contextlib.ExitStack() as stack:

        def keep(start: _Start, port: int = 0) -> _Kept:
            return stack.enter_context(contextlib.closing(_Kept(start, port)))

        # All three start at the same time; MLflow takes longest.
        prefect = keep(lambda port: servers.prefect_server(root, port, host), given.prefect_port)
        mlflow = keep(lambda port: servers.mlflow_ui(root, port, host), given.mlflow_port)
        report = keep(lambda port: servers.folder_server(root, reports, port, host))
        kept = {"prefect": prefect, "mlflow": mlflow, "report": report}
        print(f"Report   {report.now.wait()}/\nPrefect  {prefect.now.wait()}", flush=True)
        os.environ["PREFECT_API_URL"] = api = f"{prefect.now.address}/api"
        if (root / "prefect.yaml").is_file():
            deploy(root, api, os.environ)
            skip_missed_runs(api)
            watch = [sys.executable, "-m", "pipelines", "--root", os.fspath(root), "watch", *given.watch]
            worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
            settle_lost_runs(root, api)
            kept["watcher"] = keep(lambda _: servers.helper("the watcher", watch, root))
            kept["worker"] = keep(lambda _: servers.helper("the worker", worker, root))
            print(f"         with a worker for its deployments; watched: {', '.join(given.watch)}", flush=True)
        served = {name: kept[name].now.address for name in ("prefect", "mlflow", "report")}
        stack.enter_context(servers.written_down(root, served))
        print(f"MLflow   {mlflow.now.wait()}\nCtrl-C stops them.", flush=True)
        while True:
            for name, one in kept.items():
                if one.now.process.poll() is not None:
                    print(f"{one.now.name} ended ({one.now.log} says why); starting it again.", flush=True)
                    one.close()
                    if name == "worker":
                        prefect.now.wait()
                        settle_lost_runs(root, api)
                    one.start()
            time.sleep(1)


_Start = Callable[[int], contextlib.AbstractContextManager[servers.Server]]


class _Kept:
    """Something that `ui` runs, and when it was killed runs again, on the port where it was."""

    def __init__(self, run: _Start, port: int) -> None:
        self._run, self._port = run, port
        self._stack = contextlib.ExitStack()
        self.start()

    def start(self) -> None:
        self.now = self._stack.enter_context(self._run(self._port))
        self._port = self.now.port

    def close(self) -> None:
        """Ends it with all that it started."""
        self._stack.close()


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
