"""DVC's stage graph and DVC's word on what is stale, as plain data.

Nothing here knows Prefect, and no stage name is typed: names, edges and each stage's `meta:` come
from `dvc.yaml` with its `foreach` expanded, staleness from what `dvc status` does. (`dvc repro --dry`
is no substitute: it does not hash changed dependencies and reports stages as cached that then run.)
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet.errors import UserError, unknown
from quintet.graph.duration import parse_duration


@dataclass(frozen=True)
class Stage:
    """One stage as DVC addresses it, such as 'train@lenet-digits', with what it asks of the machine."""

    name: str
    needs: tuple[str, ...]
    command: str
    folder: Path
    outs: tuple[Path, ...]
    # What the outputs measured when they were last made, by dvc.lock; None where that does not know.
    outs_bytes: int | None = None
    cpus: int = 1
    gpus: int = 0
    timeout_seconds: float | None = None
    # Run even where something upstream failed: the report, which then says what is missing.
    always: bool = False
    deps: tuple[Path, ...] = ()
    # DVC's run cache can keep what it makes, so that another clone restores it without running.
    cacheable: bool = True

    @property
    def group(self) -> str:
        """The name in dvc.yaml before foreach expanded it."""
        return self.name.partition("@")[0]


@dataclass(frozen=True)
class Graph:
    """Stages by name, each after everything it needs."""

    stages: Mapping[str, Stage]

    def select(self, wanted: Iterable[str]) -> Graph:
        """The stages meant by `wanted` and all they need.

        Each item is a stage ('train@a'), a whole group ('train') or a pattern ('train@*-digits').
        """
        keep: set[str] = set()
        stack = [name for item in wanted for name in self.named(item)]
        while stack:
            name = stack.pop()
            if name not in keep:
                keep.add(name)
                stack.extend(self.stages[name].needs)
        return Graph({name: stage for name, stage in self.stages.items() if name in keep})

    def named(self, item: str) -> list[str]:
        """The names that `item` (a stage, a group or a pattern) stands for; an error if there are none."""
        found = [
            name
            for name, stage in self.stages.items()
            if item in (name, stage.group) or fnmatch.fnmatchcase(name, item)
        ]
        if not found:
            raise unknown("stages", "stage", item, {*self.stages, *(stage.group for stage in self.stages.values())})
        return found


def read_graph(root: Path) -> Graph:
    """The graph of the DVC repository at `root`; a broken dvc.yaml or `meta:` is a UserError."""
    with _repository(root) as repo:
        graph = repo.index.graph
        names = {node: _address(node) for node in graph}
        needs = {names[node]: tuple(names[up] for up in graph.successors(node)) for node in graph}
        stages = {name: _stage(node, name, needs[name]) for node, name in names.items()}
    return Graph({name: stages[name] for name in _upstream_first(needs)})


def why_stale(root: Path) -> dict[str, str]:
    """What DVC finds changed, in words, by stage; stages that are up to date themselves are absent.

    A stage below a changed one is not listed unless its own files differ too: whether it has to run
    is known only when the upstream stage is done.
    """
    with _repository(root) as repo:
        return {name: _in_words(changes) for name, changes in repo.status().items()}


def restorable(root: Path, names: Iterable[str]) -> set[str]:
    """Those of the stages `names` that DVC would bring back from its cache, having run them in just this way before.

    Meant for stages that follow no stale one: of the others only their upstream stages' results can tell.
    """
    from dvc.stage.cache import RunCacheNotFoundError

    found = set()
    wanted = set(names)
    with _repository(root) as repo:
        for node in repo.index.stages:
            if _address(node) in wanted:
                node.save_deps(allow_missing=True)
                with contextlib.suppress(RunCacheNotFoundError):
                    repo.stage_cache.restore(node, dry=True)
                    found.add(_address(node))
    return found


@contextlib.contextmanager
def _repository(root: Path) -> Iterator[Any]:
    """DVC's own view of the repository at `root`, whose word on it is a UserError."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    # DVC names stages and files relative to the current folder.
    try:
        with contextlib.chdir(root), Repo(_wait_for_lock=True) as repo:
            yield repo
    except NotDvcRepoError:
        raise UserError(os.fspath(root), "is no DVC repository", "run in the folder that holds dvc.yaml") from None
    except DvcException as error:
        raise UserError("dvc.yaml", " ".join(str(error).split()), "'dvc dag' shows the whole message") from error


def _address(node: Any) -> str:
    folder_and_file: str = node.path_in_repo
    name = getattr(node, "name", None)
    if name is None:
        return folder_and_file
    return str(name) if folder_and_file == "dvc.yaml" else f"{folder_and_file}:{name}"


def _stage(node: Any, name: str, needs: tuple[str, ...]) -> Stage:
    meta = node.meta or {}
    where = f"dvc.yaml: {name}: meta"
    if not isinstance(meta, Mapping):
        raise UserError(where, f"{meta!r} is no mapping", "write such as {cpus: 2, gpus: 0, timeout: 1h}")
    always = meta.get("always", False)
    if not isinstance(always, bool):
        raise UserError(f"{where}.always", f"{always!r} is neither true nor false")
    sizes = [out.meta.size for out in node.outs]
    commands = [node.cmd] if isinstance(node.cmd, str) else list(node.cmd or [])
    return Stage(
        name=name,
        needs=needs,
        command=" && ".join(commands),
        folder=Path(node.wdir),
        outs=tuple(Path(out.fs_path) for out in node.outs if out.is_in_repo),
        outs_bytes=None if None in sizes else sum(sizes),
        cpus=_whole(where, meta, "cpus", least=1, default=1),
        gpus=_whole(where, meta, "gpus", least=0, default=0),
        timeout_seconds=parse_duration(f"{where}.timeout", meta["timeout"]) if "timeout" in meta else None,
        always=always,
        deps=tuple(Path(dep.fs_path) for dep in node.deps if dep.protocol == "local"),
        cacheable=_cacheable(node),
    )


def _cacheable(node: Any) -> bool:
    """Whether DVC keeps the stage in its run cache: the rule of `dvc.stage.cache`, as far as it shows before a run."""
    return (
        bool(node.cmd and node.deps and node.outs)
        and not node.always_changed
        and all(dep.protocol == "local" for dep in node.deps)
        and all(out.protocol == "local" and out.is_in_repo and not out.persist for out in node.outs)
    )


def _whole(where: str, meta: Mapping[str, Any], key: str, least: int, default: int) -> int:
    value = meta.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{where}.{key}", f"{value!r} cannot be reserved", f"it takes a whole number from {least} up")
    return value


def _upstream_first(needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A topological order that otherwise keeps the order of dvc.yaml. (DVC has refused cycles already.)"""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            for upstream in needs[name]:
                visit(upstream)
            order[name] = None

    for name in needs:
        visit(name)
    return list(order)


def _in_words(changes: Iterable[Any]) -> str:
    """DVC's nested status entry as one phrase, parameters named singly: 'experiments.a modified; out/a deleted'."""
    phrases: list[str] = []
    for change in changes:
        if isinstance(change, str):
            phrases.append(change)
            continue
        for group in change.values():
            for path, what in group.items():
                if isinstance(what, Mapping):
                    phrases += [f"{parameter} {how}" for parameter, how in what.items()]
                else:
                    phrases.append(f"{path} {what}")
    return "; ".join(phrases)
