"""What is asked of a server that is busy, and of one that refuses."""

from __future__ import annotations

import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipelines import servers


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[int], list[str]]]:
    """Its address, the statuses that it will answer with before 200, and what it was asked."""
    monkeypatch.setattr(servers, "_BUSY_SECONDS", (0.0, 0.0))
    coming: list[int] = []
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(coming.pop(0) if coming else 200)
            self.end_headers()
            self.wfile.write(b"[1]")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((servers.LOOPBACK, 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://{servers.LOOPBACK}:{made.server_port}", coming, asked
        made.shutdown()
        thread.join()


def test_a_busy_server_is_asked_again(server: tuple[str, list[int], list[str]]) -> None:
    address, coming, asked = server
    coming += [503, 503]
    assert servers.ask(address, {"a": 1}) == [1]
    assert asked == ['{"a": 1}'] * 3


@pytest.mark.parametrize(("status", "times"), [(503, 3), (404, 1)])
def test_a_refusal_is_told(server: tuple[str, list[int], list[str]], status: int, times: int) -> None:
    address, coming, asked = server
    coming += [status] * 9
    with pytest.raises(urllib.error.HTTPError) as told:
        servers.ask(address, {})
    told.value.close()
    assert told.value.code == status
    assert len(asked) == times
