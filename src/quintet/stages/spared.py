"""What a stage's process is spared: imports that take longer than torch itself, of which Quintet uses nothing.

Nothing is changed by it: the stand-ins hold the real parts, or turn into the real module as soon as more is asked of
them. Only the stages' own processes have them.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"


def spare(stage: str) -> None:
    """Spare the process of `quintet STAGE` what that stage does not use, before its imports."""
    if stage in ("prepare", "baseline", "report"):
        return
    spare_compiler()
    if stage != "evaluate":
        spare_metrics()


def spare_compiler() -> None:
    """Keep torch's compiler, and sympy with it, unloaded while nothing is compiled.

    torch imports all of it in the first step of any optimiser and in the first operation that a counter sees
    (`torch._compile`), to tell the compiler to keep out; Lightning does, to know a compiled module if it
    is given one.
    """
    if _COMPILER not in sys.modules:
        compiler = sys.modules[_COMPILER] = _Compiler(_COMPILER)
        # A package in which nothing is found but by `_Submodules`.
        compiler.__path__ = []
        sys.meta_path.insert(0, _Submodules())


def spare_metrics() -> None:
    """Load of torchmetrics the two classes that Lightning builds on.

    Its `__init__` imports each metric there is and for these torchvision, transformers and scipy.signal.
    """
    if "torchmetrics" in sys.modules:
        return
    package = _not_run("torchmetrics")
    vars(package)["_logger"] = logging.getLogger("torchmetrics")
    # Its utilities import matplotlib to plot metrics, which nobody does here.
    utilities = _not_run("torchmetrics.utilities")
    vars(importlib.import_module("torchmetrics.utilities.imports"))["_MATPLOTLIB_AVAILABLE"] = False
    assert utilities.__spec__
    assert utilities.__spec__.loader
    utilities.__spec__.loader.exec_module(utilities)
    for module, name in (("metric", "Metric"), ("collections", "MetricCollection")):
        vars(package)[name] = getattr(importlib.import_module(f"torchmetrics.{module}"), name)


def _not_run(package: str) -> ModuleType:
    """A package whose modules can be imported, though its own `__init__` was not run."""
    spec = find_spec(package)
    assert spec, package
    module = sys.modules[package] = module_from_spec(spec)
    return module


class _IsCompiled(type):
    """What is compiled is known once the compiler has been loaded; before, nothing is."""

    def __instancecheck__(cls, instance: object) -> bool:
        compiler = sys.modules.get("torch._dynamo.eval_frame")
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class _OptimizedModule(metaclass=_IsCompiled):
    """For `isinstance` alone."""


class _Compiler(ModuleType):
    """`torch._dynamo` before it is needed: there is no compiler to keep out."""

    OptimizedModule = _OptimizedModule

    @staticmethod
    def disable(function: Callable[..., Any], recursive: bool = True, **more: Any) -> Callable[..., Any]:
        return function

    @staticmethod
    def graph_break() -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        # What looks through all modules, as inspect does, asks for their files: that is no use of this one.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real_compiler(), name)


def _real_compiler() -> ModuleType:
    if isinstance(sys.modules.get(_COMPILER), _Compiler):
        del sys.modules[_COMPILER]
    return importlib.import_module(_COMPILER)


class _Submodules(MetaPathFinder):
    """Finds a part of the compiler by loading all of it first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{_COMPILER}."):
            return None
        sys.meta_path.remove(self)
        _real_compiler()
        loaded = importlib.import_module(fullname)
        # Were it there, the import system would take its spec, and load it again from its file.
        del sys.modules[fullname]
        return spec_from_loader(fullname, _Loaded(loaded))


class _Loaded(Loader):
    """Gives a module that has been loaded already, so that there is one of it."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec
