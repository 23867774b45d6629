"""A small parent for one stage, so that nothing of a stage outlives its flow.

Run as a script: `python -P guard.py GRACE_SECONDS REPORT COMMAND...`, in a session of its own, standard input
a pipe that only the flow holds open; REPORT is a file descriptor that takes the peak memory at the end, or -.
While the pipe is open the guard waits for the command. When it
closes (the flow let go of it to cancel, or is gone: killed with -9, out of memory, crashed), the
guard ends everything the command started: TERM, the grace, KILL.

Why a pipe and a process: the kernel closes the pipe however the flow dies, whereas a handler in the
flow never sees `kill -9`; and a signal to `dvc repro` alone orphans its stage command. Linux's
parent-death signal would reach `dvc` only, not the stage below it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def family(leader: int) -> list[psutil.Process]:
    """Living processes in the session of `leader` or descended from it, without `leader` itself.

    Descendants count too since some launchers (torchrun) give each worker its own session.
    """
    living = [p for p in psutil.process_iter(["pid", "ppid", "status"]) if p.info["status"] != psutil.STATUS_ZOMBIE]
    found: dict[int, psutil.Process] = {}
    while True:
        before = len(found)
        for process in living:
            pid = process.info["pid"]
            ours = _session(pid) == leader or process.info["ppid"] in {leader, *found}
            if ours and pid != leader:
                found[pid] = process
        if len(found) == before:
            return list(found.values())


def end_family(leader: int, grace_seconds: float) -> None:
    """Asks the family of `leader` to end (TERM) and after the grace ends what is left (KILL)."""
    asked: set[int] = set()
    deadline = time.monotonic() + grace_seconds
    while alive := family(leader):
        late = time.monotonic() >= deadline
        for process in alive:
            if late or process.pid not in asked:
                asked.add(process.pid)
                try:
                    process.send_signal(signal.SIGKILL if late else signal.SIGTERM)
                except psutil.NoSuchProcess:
                    continue
        time.sleep(0.05)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1


def main(arguments: list[str]) -> int:
    """Runs the command; its exit status, or 128 + signal where a signal ended it."""
    grace_seconds, report, command = float(arguments[0]), arguments[1], arguments[2:]
    if sys.platform == "linux":
        # Children whose parent dies come to the guard, not to init: a process that changed its session stays findable.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # TERM to the guard means what the closed pipe means.
    signal.signal(signal.SIGTERM, lambda number, frame: threading.Thread(target=end).start())
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)

    ending = threading.Lock()

    def end() -> None:
        # One at a time: a second TERM would interrupt what a process does about the first.
        with ending:
            end_family(os.getpid(), grace_seconds)

    def watch() -> None:
        # Nobody writes: this returns when the last holder of the other end is gone. (Not sys.stdin, whose lock
        # a thread that still waits in it at our exit would keep.)
        os.read(0, 1)
        end()

    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    # A command that is done leaves nobody behind: a background process would hold devices and the log open.
    end()
    if report != "-":
        # Of the largest process below the command; Linux counts in KiB, macOS in bytes.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        os.write(int(report), str(peak if sys.platform == "darwin" else peak * 1024).encode())
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
