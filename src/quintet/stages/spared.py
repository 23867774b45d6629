"""What a stage's process is spared: imports that take longer than torch itself, of which Quintet uses nothing.

Nothing is changed by it: the stand-ins hold the real parts, or turn into the real module as soon as more is asked of
them. Only the stages' own processes have them.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


def spare_compiler() -> None:
    """Keep torch's compiler, and sympy with it, unloaded while nothing is compiled.

    torch imports all of it in the first step of any optimiser and in the first operation that a counter sees
    (`torch._compile`), to tell the compiler to keep out. With Lightning it is loaded in any case.
    """
    sys.modules.setdefault("torch._dynamo", _Compiler("torch._dynamo"))


def spare_metrics() -> None:
    """Load of torchmetrics the two classes that Lightning builds on.

    Its `__init__` imports each metric there is and for these torchvision, transformers and scipy.signal.
    """
    spec = find_spec("torchmetrics")
    if "torchmetrics" in sys.modules or spec is None:
        return
    package = sys.modules["torchmetrics"] = module_from_spec(spec)
    vars(package)["_logger"] = logging.getLogger("torchmetrics")
    # The two import the utilities, and these import them.
    importlib.import_module("torchmetrics.utilities")
    for module, name in (("metric", "Metric"), ("collections", "MetricCollection")):
        vars(package)[name] = getattr(importlib.import_module(f"torchmetrics.{module}"), name)


class _Compiler(ModuleType):
    """`torch._dynamo` before it is needed: there is no compiler to keep out."""

    @staticmethod
    def disable(function: Callable[..., Any], recursive: bool = True, *, wrapping: bool = True) -> Callable[..., Any]:
        return function

    @staticmethod
    def graph_break() -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        # What looks through all modules, as inspect does, asks for their files: that is no use of this one.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
