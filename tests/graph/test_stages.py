import os
from collections.abc import Callable
from pathlib import Path

import pytest

from quintet.errors import UserError
from quintet.graph.stages import Graph, Stage, read_graph, why_stale

Edit = Callable[[str, str, str], None]

# DVC's own index does this in pygtrie.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def test_reads_stages_edges_and_meta_with_foreach_expanded(repository: Path, edit: Edit) -> None:
    edit("params.yaml", "b: {seconds: 0, status: 0, cpus: 1}", "b: {seconds: 0, status: 0, cpus: 3}")
    edit("dvc.yaml", "gpus: 0}", "gpus: 2, timeout: 1h 30min}")
    graph = read_graph(repository)
    assert list(graph.stages) == ["prepare", "train@a", "train@b", "report"]
    assert graph.stages["train@b"].needs == ("prepare",)
    assert set(graph.stages["report"].needs) == {"train@a", "train@b"}
    assert (graph.stages["train@a"].cpus, graph.stages["train@b"].cpus, graph.stages["train@b"].gpus) == (1, 3, 2)
    assert graph.stages["train@b"].timeout_seconds == 5400
    assert graph.stages["train@b"].group == "train"
    assert graph.stages["train@b"].outs == (repository / "out" / "b.txt",)
    assert [name for name, stage in graph.stages.items() if stage.always] == ["report"]


def test_names_do_not_depend_on_the_current_folder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(os.sep)
    assert "train@a" in read_graph(repository).stages


def test_a_target_brings_what_it_needs_and_no_more(repository: Path) -> None:
    graph = read_graph(repository)
    assert list(graph.select(["train@a"]).stages) == ["prepare", "train@a"]
    assert list(graph.select(["train"]).stages) == ["prepare", "train@a", "train@b"]
    assert list(graph.select(["*@b"]).stages) == ["prepare", "train@b"]
    with pytest.raises(UserError, match="unknown stage 'trian@a'; did you mean 'train@a'"):
        graph.select(["trian@a"])


def test_orders_every_stage_after_what_it_needs(repository: Path, edit: Edit) -> None:
    edit("dvc.yaml", "stages:\n", "stages:\n  last:\n    cmd: cat report.txt\n    deps: [report.txt]\n")
    assert list(read_graph(repository).stages) == ["prepare", "train@a", "train@b", "report", "last"]


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ("cpus: none", "meta.cpus: 'none' cannot be reserved"),
        ("cpus: 0", "meta.cpus: 0 cannot be reserved"),
        ("gpus: -1", "meta.gpus: -1 cannot be reserved"),
        ("timeout: soon", "meta.timeout: 'soon' is no span of time"),
        ("always: maybe", "meta.always: 'maybe' is neither"),
    ],
)
def test_a_wrong_meta_is_named_with_its_stage(repository: Path, edit: Edit, meta: str, message: str) -> None:
    edit("dvc.yaml", "meta: {always: true}", f"meta: {{{meta}}}")
    with pytest.raises(UserError, match=r"dvc\.yaml: report") as caught:
        read_graph(repository)
    assert message in str(caught.value)


def test_a_broken_dvc_yaml_and_a_folder_without_dvc_end_in_one_line(repository: Path, tmp_path: Path) -> None:
    (repository / "dvc.yaml").write_text("stages:\n  a:\n    cmmd: true\n")
    with pytest.raises(UserError, match=r"dvc\.yaml") as caught:
        read_graph(repository)
    assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is no DVC repository"):
        read_graph(tmp_path / "empty")


def test_says_what_changed_in_words(repository: Path) -> None:
    reasons = why_stale(repository)
    assert list(reasons) == ["prepare", "train@a", "train@b", "report"]
    assert "data.txt deleted" in reasons["prepare"]
    assert "models.a new" in reasons["train@a"] or "params.yaml new" in reasons["train@a"]
    assert "out/a.txt deleted" in reasons["report"]


def test_select_keeps_edges() -> None:
    stages = {n: Stage(n, needs, "true", Path(), ()) for n, needs in {"a": (), "b": ("a",), "c": ("a",)}.items()}
    assert Graph(stages).select(["c"]).stages == {"a": stages["a"], "c": stages["c"]}
