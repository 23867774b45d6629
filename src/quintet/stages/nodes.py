"""One training on several machines, `trainer.num_nodes` of them, that share the project's folder.

The stage's own command starts torchrun on its machine, so DVC runs on the first one alone, and knows of
nothing. On every other machine the same command is typed with another NODE_RANK: it waits until the
first one trains, reads what is to be trained then, and joins in. Under a torchrun that somebody else
started (`torchrun … -m quintet train NAME`) nothing is started here.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time

from quintet.errors import UserError
from quintet.experiment import Trainer

log = logging.getLogger(__name__)

_DOCS = "see docs/many-machines.md"


def wait_for_first() -> None:
    """On any but the first machine: returns when the first one trains."""
    if _launched() or os.environ.get("NODE_RANK", "0") == "0":
        return
    address, port = _meeting_point()
    log.info("waiting for the first machine to train, at %s:%d", address, port)
    while True:
        try:
            socket.create_connection((address, port), timeout=5).close()
        except OSError:
            time.sleep(1)
        else:
            return


def launch(trainer: Trainer) -> None:
    """Becomes torchrun, which runs this very command once for each of this machine's devices.

    Returns where there is nothing to launch: one machine, or we are one of those processes.
    """
    if trainer.num_nodes == 1 or _launched():
        return
    rank = os.environ.get("NODE_RANK")
    if rank is None or not rank.isdecimal() or int(rank) >= trainer.num_nodes:
        what = f"{rank!r} is no place among {trainer.num_nodes} machines" if rank else "is not set"
        raise UserError("NODE_RANK", f"{what}, and trainer.num_nodes is {trainer.num_nodes}", _DOCS)
    address, port = _meeting_point()
    command = [sys.executable, "-m", "torch.distributed.run", "--master-addr", address, "--master-port", str(port)]
    command += ["--nnodes", str(trainer.num_nodes), "--node-rank", rank, "--nproc-per-node", str(trainer.devices)]
    sys.stdout.flush()
    os.execv(sys.executable, [*command, "-m", "quintet", *sys.argv[1:]])


def _launched() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _meeting_point() -> tuple[str, int]:
    """Where the machines find each other: torchrun's own names for it."""
    address, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "29500")
    if not address:
        raise UserError(
            "MASTER_ADDR", "is not set, and NODE_RANK or trainer.num_nodes asks for several machines", _DOCS
        )
    if not port.isdecimal():
        raise UserError("MASTER_PORT", f"{port!r} is no port", _DOCS)
    return address, int(port)
