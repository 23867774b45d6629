import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quintet.errors import UserError
from quintet.tracking.journal import RUN_KEY, Journal, flat, read, read_from, say_killed_if_abandoned


def test_what_was_written_is_read_back(full_journal: Journal) -> None:
    events = read(full_journal.path)
    assert [e["event"] for e in events] == ["start", *["metrics"] * 5, "artifact", "params", "tags", "end"]
    assert events[0]["params"] == {"model.name": "lenet", "model.depth": "5", "seed": "0"}
    assert events[1] == {
        "at": 1_700_000_000_000,
        "event": "metrics",
        "step": 0,
        "values": {"train_loss": 1, "learning_rate": 0.1},
    }
    assert events[6]["file"] == "confusion.json"
    assert events[-1]["status"] == "FINISHED"


def test_an_event_is_on_disk_when_the_call_returns(journal: Journal) -> None:
    journal.metrics(0, {"loss": 1.0})
    assert journal.path.read_bytes().endswith(b"\n")


def test_a_torn_last_line_is_not_read_and_is_cut_off_on_reopening(journal: Journal) -> None:
    journal.metrics(0, {"loss": 1.0})
    whole = journal.path.read_bytes()
    with open(journal.path, "ab") as f:
        f.write(b'{"at": 1, "event": "metr')
    assert len(read(journal.path)) == 1
    journal.close()
    again = Journal(journal.path)
    assert journal.path.read_bytes() == whole
    again.metrics(1, {"loss": 0.5})
    assert [e["step"] for e in read(journal.path)] == [0, 1]
    again.close()


def test_kill_9_loses_at_most_the_event_being_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    code = (
        "from pathlib import Path; from quintet.tracking.journal import Journal\n"
        f"j = Journal(Path({str(path)!r}))\n"
        "for step in range(10**9):\n j.metrics(step, {'loss': 1.0})\n if step == 200: print('go', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    journal = Journal(path)
    journal.close()
    steps = [e["step"] for e in read(path)]
    assert len(steps) > 200
    assert steps == list(range(len(steps)))


def test_replayed_steps_are_recorded_once(journal: Journal) -> None:
    key = journal.start("run", experiment="classification")
    for step in range(6):
        journal.metrics(step, {"loss": float(step)})
    journal.metrics(5, {"validation_loss": 1.0})
    journal.close()
    resumed = Journal(journal.path)  # its last checkpoint was after step 2
    assert resumed.start("run", experiment="classification") == key
    for step in range(3, 9):
        resumed.metrics(step, {"loss": -1.0})
    resumed.close()
    recorded = [(e["step"], e["values"]) for e in read(journal.path) if e["event"] == "metrics"]
    assert [(s, v["loss"]) for s, v in recorded if "loss" in v] == [
        *((s, float(s)) for s in range(6)),
        *((s, -1.0) for s in (6, 7, 8)),
    ]
    assert (5, {"validation_loss": 1.0}) in recorded
    starts = [e for e in read(journal.path) if e["event"] == "start"]
    assert len(starts) == 2
    assert starts[0]["journal"] == starts[1]["journal"]
    assert resumed.last_step("loss") == 8


def test_a_journal_is_of_one_run(journal: Journal) -> None:
    journal.start("run", experiment="classification", tags={RUN_KEY: "a" * 32})
    assert journal.run_key == "a" * 32
    with pytest.raises(ValueError, match="is the journal of run"):
        journal.start("run", experiment="classification", tags={RUN_KEY: "b" * 32})


def test_numbers_that_are_not_finite_come_back_and_the_file_is_plain_json(journal: Journal) -> None:
    journal.metrics(0, {"a": math.nan, "b": math.inf, "c": -math.inf})
    json.loads(journal.path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    values = read(journal.path)[0]["values"]
    assert math.isnan(values["a"])
    assert (values["b"], values["c"]) == (math.inf, -math.inf)


def test_a_full_disk_leaves_whole_lines(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.metrics(0, {"loss": 1.0})
    whole, file, sizes = journal.path.read_bytes(), journal._file, []

    class Full:
        fileno, truncate = file.fileno, file.truncate

        def write(self, data: memoryview) -> int | None:
            sizes.append(len(data))
            if len(sizes) > 1:
                raise OSError(28, "No space left on device")
            return file.write(data[: len(data) // 2])

    monkeypatch.setattr(journal, "_file", Full())
    with pytest.raises(OSError, match="No space left"):
        journal.metrics(1, {"loss": 0.5})
    monkeypatch.undo()
    assert journal.path.read_bytes() == whole
    journal.metrics(1, {"loss": 0.5})  # not taken for recorded
    assert [e["step"] for e in read(journal.path)] == [0, 1]


def test_threads_neither_mix_their_lines_nor_record_a_step_twice(journal: Journal) -> None:
    def write() -> None:
        for step in range(300):
            journal.metrics(step, {"loss": 1.0})

    threads = [threading.Thread(target=write) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(e["step"] for e in read(journal.path)) == list(range(300))


@pytest.mark.parametrize("name", ["", "a\nb", "../a", "/a", "a/", "a//b", "ü", "a" * 251, "x=1"])
def test_a_name_that_mlflow_would_refuse_is_refused_on_writing(journal: Journal, name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        journal.metrics(0, {name: 1.0})


def test_a_line_that_is_no_event_is_named(journal: Journal) -> None:
    journal.metrics(0, {"loss": 1.0})
    with open(journal.path, "ab") as f:
        f.write(b"garbage\n")
    with pytest.raises(UserError, match=rf"{journal.path}: the line that ends at byte \d+ is not an event"):
        read(journal.path)


def test_reading_goes_on_from_where_an_event_ended(full_journal: Journal) -> None:
    events, ends = read_from(full_journal.path, 0)
    rest, rest_ends = read_from(full_journal.path, ends[3])
    assert rest == events[4:]
    assert rest_ends == ends[4:]


def test_nested_settings_become_dotted_names() -> None:
    given = {"model": {"name": "vgg", "widths": (8, 16)}, "stop": None, "amp": True}
    assert flat(given) == {"model.name": "vgg", "model.widths": "[8, 16]", "stop": "null", "amp": "true"}


def test_neither_torch_nor_mlflow_is_imported() -> None:
    code = (
        "import sys, quintet.tracking.journal, quintet.tracking.projector, quintet.tracking.sync\n"
        "sys.exit(bool({'torch', 'mlflow', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_process_at_a_time_writes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(UserError, match="another process is writing this run"):
        Journal(journal.path)
    journal.close()
    Journal(journal.path).close()


def test_a_run_whose_process_is_gone_says_killed_and_one_that_lives_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.start("run", experiment="toy")
    journal.metrics(1, {"loss": 1.0}, at=7)
    assert not say_killed_if_abandoned(journal.path)
    journal.close()
    assert say_killed_if_abandoned(journal.path)
    assert not say_killed_if_abandoned(journal.path)
    last = read(journal.path)[-1]
    assert (last["event"], last["status"], last["at"]) == ("end", "KILLED", 7)


def test_an_image_is_recorded_once_for_each_step_also_after_a_resume(journal: Journal) -> None:
    file = journal.path.with_name("samples-step-0000006.png")
    file.write_bytes(b"PNG")
    journal.image(file, "samples", 6)
    journal.image(file, "samples", 6)
    journal.close()
    again = Journal(journal.path)
    again.image(file, "samples", 6)
    again.image(file, "samples", 12)
    said = [(e["event"], e["file"], e["key"], e["step"]) for e in read(journal.path)]
    assert said == [("image", file.name, "samples", step) for step in (6, 12)]
    with pytest.raises(ValueError, match="no name for a series"):
        again.image(file, "samples+more", 18)
    again.close()
