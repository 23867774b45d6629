from __future__ import annotations

import base64
import json
import shlex
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from quintet import cli
from quintet.tracking.journal import Journal
from quintet.tracking.registry import register
from quintet.tracking.store import Store
from tests.serving.conftest import BAD, encoded
from tests.tracking.conftest import send
from tests.tracking.test_registry import NAME, train


@pytest.fixture
def project(store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root with a champion in its store."""
    train(journal)
    version = register(store, NAME, send(store, journal), {"task": "classification", "experiment": "digits-gru"})
    store.client.set_registered_model_alias(NAME, "champion", version)
    monkeypatch.chdir(store.root)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return store.root


@pytest.fixture
def server(project: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`quintet serve` of the champion, and what it says once it answers."""
    command = [sys.executable, "-m", "quintet", "serve", "classification", "--port", "0"]
    with open(project / "server.log", "w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C"):
                break
        assert len(said) == 3, (said, (project / "server.log").read_text())
        yield process, said
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def post(server: str, body: bytes) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{server}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as e:
        with e:
            return e.code, json.load(e)


@pytest.mark.slow
def test_the_champion_is_served_until_ctrl_c(server: tuple[subprocess.Popen[str], list[str]]) -> None:
    process, said = server
    assert said[0].startswith(f"{NAME} version 1 (digits-gru) answers at http://127.0.0.1:")
    address = said[0].rpartition(" ")[2]
    pasted = subprocess.run(shlex.split(said[1]), capture_output=True, check=True)
    assert json.loads(pasted.stdout)["predictions"][0]["class"] in ("zero", "one", "two")
    answers_well_and_badly(address)
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    left = psutil.wait_procs(family, timeout=1)[1]
    # An orphan that has ended stays a zombie for as long as the system's first process does not collect it.
    assert [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def answers_well_and_badly(server: str) -> None:
    picture = encoded(Image.effect_noise((8, 8), 90))
    array = np.asarray(Image.open(BytesIO(base64.b64decode(picture)))).tolist()
    with urllib.request.urlopen(f"{server}/ping", timeout=60) as response:
        assert response.status == 200
    answers = []
    for body in (
        {"inputs": [picture]},
        {"inputs": [array]},
        {"inputs": {"image": [picture]}},
        {"dataframe_split": {"columns": ["image"], "data": [[picture]]}},
        {"dataframe_records": [{"image": array}]},
    ):
        status, answer = post(server, json.dumps(body).encode())
        assert status == 200, answer
        answers += answer["predictions"]
    assert len(answers) == 5
    assert all(a == answers[0] for a in answers)
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1)
    for several in ([picture, picture], [array, array], [picture, array]):
        status, answer = post(server, json.dumps({"inputs": several}).encode())
        assert (status, answer["predictions"]) == (200, [answers[0], answers[0]])
    for case, (make, _) in BAD.items():
        status, answer = post(server, json.dumps({"inputs": [picture, make()]}).encode())
        assert (status, answer["message"][:8]) == (400, "image 1:"), (case, answer)
        assert "Traceback" not in json.dumps(answer)
    for body in (b"nonsense", b"[]", b"{}", b'{"inputs": []}', b'{"inputs": null}', b'{"inputs": {"photo": ["x"]}}'):
        status, answer = post(server, body)
        assert status == 400, (body, answer)
        assert "Traceback" not in json.dumps(answer)


def predict(*arguments: str) -> None:
    cli.main(["predict", NAME, *arguments])


def test_files_and_folders_are_answered_as_by_the_server(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "photos/more").mkdir(parents=True)
    for i, place in enumerate(("a.png", "more/b.JPG", "c.png")):
        Image.effect_noise((20 + i, 30), 90).save(project / "photos" / place, "JPEG" if "JPG" in place else "PNG")
    (project / "photos/notes.txt").touch()
    predict("photos", "--out", "answers.jsonl")
    rows = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    assert [row["input"] for row in rows] == ["photos/a.png", "photos/c.png", "photos/more/b.JPG"]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in rows)
    assert capsys.readouterr().out == (
        f"answers.jsonl: 3 answers by {NAME} version 1 (digits-gru); 1 files of other kinds passed over\n"
    )
    predict("photos/a.png", "--out", "one.csv")
    header, line = Path("one.csv").read_text().splitlines()
    assert header == "input,class,confidence,probabilities.zero,probabilities.one,probabilities.two"
    assert line.split(",")[1] == rows[0]["class"]
    assert float(line.split(",")[2]) == pytest.approx(rows[0]["confidence"], abs=1e-6)


def test_a_file_that_is_no_picture_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.effect_noise((20, 30), 90).save("good.png")
    Path("bad.png").write_text("no picture")
    with pytest.raises(SystemExit) as ended:
        predict("good.png", "bad.png", "--out", "answers.csv")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("quintet: bad.png: not an image that can be read; ")
    assert not Path("answers.csv").exists()
    predict("good.png", "bad.png", "--out", "answers.csv", "--on-bad", "skip")
    shown = capsys.readouterr()
    assert shown.err == "bad.png: not an image that can be read\n"
    assert shown.out.endswith("; 1 left out\n")
    assert len(Path("answers.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classification-digit", "unknown champion 'classification-digit'; did you mean 'classification-digits'?"),
        ("translation", "unknown champion 'translation'; it takes: classification-digits"),
    ],
)
def test_a_champion_that_is_not_there_is_told(
    project: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["serve", name], ["predict", name, "x.png", "--out", "a.csv"]):
        with pytest.raises(SystemExit):
            cli.main(command)
        assert message in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit):
            cli.main(["serve", NAME, "--port", str(port)])
    assert f"127.0.0.1:{port}: can not be listened on" in capsys.readouterr().err
