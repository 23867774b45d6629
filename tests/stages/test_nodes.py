"""How one training gets onto several machines."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

import pytest

from quintet.errors import UserError
from quintet.experiment import Trainer
from quintet.stages.nodes import launch, wait_for_first

TWO = Trainer(num_nodes=2, devices=4)


class Became(Exception):
    """The process was replaced by this command."""


@pytest.fixture(autouse=True)
def first(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The first of two machines."""
    for name in ("TORCHELASTIC_RUN_ID", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NODE_RANK", "0")
    monkeypatch.setenv("MASTER_ADDR", "node-one")

    def execv(program: str, command: list[str]) -> None:
        raise Became(" ".join(command[1:]))

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(sys, "argv", ["quintet", "train", "digits-vit"])
    return monkeypatch


def test_the_command_becomes_torchrun_with_itself(first: pytest.MonkeyPatch) -> None:
    first.setenv("NODE_RANK", "1")
    with pytest.raises(Became) as became:
        launch(TWO)
    assert str(became.value) == (
        "-m torch.distributed.run --master-addr node-one --master-port 29500 --nnodes 2 --node-rank 1 "
        "--nproc-per-node 4 -m quintet train digits-vit"
    )


def test_nothing_is_launched_on_one_machine_or_twice(first: pytest.MonkeyPatch) -> None:
    launch(Trainer(devices=4))
    first.setenv("TORCHELASTIC_RUN_ID", "none")
    launch(TWO)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NODE_RANK", None, "NODE_RANK: is not set, and trainer.num_nodes is 2"),
        ("NODE_RANK", "2", "NODE_RANK: '2' is no place among 2 machines"),
        ("NODE_RANK", "first", "NODE_RANK: 'first' is no place among 2 machines"),
        ("MASTER_ADDR", None, "MASTER_ADDR: is not set"),
        ("MASTER_PORT", "http", "MASTER_PORT: 'http' is no port"),
    ],
)
def test_what_lacks_is_said(first: pytest.MonkeyPatch, name: str, value: str | None, message: str) -> None:
    if value is None:
        first.delenv(name)
    else:
        first.setenv(name, value)
    with pytest.raises(UserError, match=message):
        launch(TWO)


def test_the_first_machine_waits_for_nobody_and_the_others_until_it_trains(first: pytest.MonkeyPatch) -> None:
    wait_for_first()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first.setenv("NODE_RANK", "1")
    first.setenv("MASTER_ADDR", "127.0.0.1")
    first.setenv("MASTER_PORT", str(port))
    waiting = threading.Thread(target=wait_for_first, daemon=True)
    waiting.start()
    time.sleep(0.3)
    assert waiting.is_alive()
    with socket.create_server(("127.0.0.1", port)):
        waiting.join(10)
    assert not waiting.is_alive()
