"""The login that links into MLflow are looked up with: that server's, and no other's."""

from __future__ import annotations

import pytest

from pipelines.artifacts import _mlflow_login

SERVER = "https://mlflow.example.org"


def test_the_login_is_that_of_mlflows_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{SERVER}/")
    assert _mlflow_login(SERVER) is None
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "platform")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert _mlflow_login(SERVER) == "platform:secret"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://other:p%40ss@mlflow.example.org")
    assert _mlflow_login(SERVER) == "other:p@ss"


def test_another_server_is_not_shown_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "platform")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert _mlflow_login("http://127.0.0.1:5000") is None
