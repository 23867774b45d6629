"""How much memory a training takes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from quintet.training.optim import optimiser
from quintet.training.settings import Optimiser


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch gives it no types
    """Adds up the bytes of all tensors that operations make, and takes them off when they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def note(self, value: Any) -> None:
        if not isinstance(value, Tensor) or value.device.type == "meta":
            return
        storage = value.untyped_storage()
        key = storage.data_ptr()
        if key and key not in self._known:
            self._known.add(key)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._freed, key, storage.nbytes())

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            self.note(value)
        return out


def training_step_megabytes(network: nn.Module, loss: Callable[[], Tensor], settings: Optimiser) -> float:
    """Peak memory of a training step in fp32, in MB (2^20 bytes): weights, gradients, optimiser state, activations.

    `loss` makes a batch of the training's size and gives its loss. Counted from the tensors that two steps hold
    at once, which is the same on every machine; what a process takes as a whole is mostly its libraries. The
    network is left as it was.
    """
    before = {name: value.clone() for name, value in network.state_dict().items()}
    was_training = network.training
    network.train()
    stepping = optimiser(network, settings)
    live = _Live()
    for weight in (*network.parameters(), *network.buffers()):
        live.note(weight)
    with live:
        # The second step has the optimiser's state, which the first one makes.
        for _ in range(2):
            stepping.zero_grad()
            loss().backward()  # type: ignore[no-untyped-call]
            stepping.step()
    stepping.zero_grad()
    network.load_state_dict(before)
    network.train(was_training)
    return live.peak / 2**20
