"""Which model of a task and data set is served: the champion, whose place only a better candidate takes.

A candidate is the experiment that a report chose on validation. It and the champion are compared by the paired test
on the validation split, all seeds of each; the test split has no say. The rows a later comparison needs are kept with
the registered version's run, so that the champion's own outputs may be gone by then.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quintet.evaluation.statistics import ALPHA, Comparison, compare
from quintet.tracking.registry import CHALLENGER, CHAMPION, aliases, register, versions
from quintet.tracking.store import Store

_ROWS = "validation.parquet"
_FOLDER = "champion"
_COLUMNS = ("seed", "id", "score", "weight")


@dataclass(frozen=True)
class Candidate:
    """What may become the champion of `task` on `data`: `run_id` is the seed that would be served.

    `rows` has a row per seed and validation example with columns seed, id, score and weight: what is compared is the
    sum of scores over that of weights. `digest` is that of the data.
    """

    task: str
    data: str
    experiment: str
    run_id: str
    digest: str
    rows: pa.Table
    higher_is_better: bool
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The registered model's."""
        return f"{self.task}-{self.data}"


def contend(store: Store, candidate: Candidate) -> str:
    """Register the candidate and decide whether it is the champion; returns the verdict in words.

    What was decided before is not decided again: the same candidate against the same champion changes nothing.
    The version's tags keep the verdict with difference and p, and the number of the version it was measured
    against; a version that lost its place has `replaced_by`.
    """
    tags = {"task": candidate.task, "data": candidate.data, "experiment": candidate.experiment, **candidate.tags}
    with store.lock:
        known = versions(store, candidate.name)
        version = register(store, candidate.name, candidate.run_id, {**tags, "data_digest": candidate.digest})
        named = aliases(store, candidate.name)
        champion = named.get(CHAMPION)
        if champion == version:
            return f"{candidate.name}: {candidate.experiment} stays champion"
        if champion and named.get(CHALLENGER) == version and known[version].tags.get("against") == champion:
            return f"{candidate.name}: {known[version].tags['verdict']}"
        _keep_rows(store, candidate)
        decided: dict[str, str] = {}
        if champion is None:
            wins, verdict = True, "champion: the first"
        else:
            decided["against"] = champion
            old = known[champion]
            obstacle, found = _measure(store, candidate, str(old.run_id), old.tags.get("data_digest"))
            title = f"{old.tags.get('experiment', 'the champion')} (version {champion})"
            if found is None:
                wins, verdict = (
                    True,
                    f"champion: takes over from {title}, with which it can not be compared: {obstacle}",
                )
            else:
                gain = found.difference if candidate.higher_is_better else -found.difference
                wins = gain > 0 and found.p_value < ALPHA
                decided |= {"difference": f"{found.difference:+.6g}", "p_value": f"{found.p_value:.4g}"}
                figures = f"(validation {found.difference:+.4g}, p = {found.p_value:.2g})"
                verdict = f"champion: better than {title}" if wins else f"challenger: not better than {title}"
                verdict = f"{verdict} {figures}"
        decided |= {"verdict": verdict, "decided_at": datetime.now(UTC).isoformat(timespec="seconds")}
        client, name = store.client, candidate.name
        for key, value in decided.items():
            client.set_model_version_tag(name, version, key, value)
        if wins and champion is not None:
            client.set_model_version_tag(name, champion, "replaced_by", version)
        # Last: what a crash leaves undone is decided again.
        client.set_registered_model_alias(name, CHAMPION if wins else CHALLENGER, version)
    return f"{candidate.name}: {candidate.experiment} is {verdict}"


def _keep_rows(store: Store, candidate: Candidate) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(candidate.rows.select(list(_COLUMNS)), Path(folder, _ROWS))
        store.client.log_artifact(candidate.run_id, str(Path(folder, _ROWS)), _FOLDER)


def _measure(store: Store, candidate: Candidate, run_id: str, digest: str | None) -> tuple[str, Comparison | None]:
    """The candidate against the champion with this run; without a comparison, why there is none."""
    if digest != candidate.digest:
        return "the data have changed", None
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            kept = [file.path for file in store.client.list_artifacts(run_id, _FOLDER)]
        except MlflowException as e:
            if e.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            kept = []
        if f"{_FOLDER}/{_ROWS}" not in kept:
            return "its validation rows are not kept", None
        rows = pq.read_table(store.client.download_artifacts(run_id, f"{_FOLDER}/{_ROWS}", folder))
    (ids, scores, weights), (old_ids, old_scores, old_weights) = _by_seed(candidate.rows), _by_seed(rows)
    if not np.array_equal(ids, old_ids):
        return "the validation examples have changed", None
    return "", compare(scores, old_scores, weights=(weights, old_weights))


def _by_seed(rows: pa.Table) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[np.float64]]:
    """Sorted ids [example], and scores and weights [seed example] in that order."""
    seeds, ids = rows["seed"].to_numpy(), np.asarray(rows["id"].to_pylist())
    order = np.lexsort((ids, seeds))
    count = len(np.unique(seeds))
    by_seed = ids[order].reshape(count, -1)
    assert (by_seed == by_seed[0]).all(), "all seeds are measured on the same examples"
    scores, weights = (rows[name].to_numpy()[order].astype(np.float64).reshape(count, -1) for name in _COLUMNS[2:])
    return by_seed[0], scores, weights
