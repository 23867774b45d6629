"""Latency is measured after a warm-up, on runs enough for a p99."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from quintet.evaluation import latency as module
from quintet.evaluation.latency import latency


class Clock:
    """A clock that moves only when work is done."""

    def __init__(self, durations: list[float]) -> None:
        self.now, self.durations, self.runs = 0.0, iter(durations), 0

    def work(self) -> None:
        self.runs += 1
        self.now += next(self.durations)

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    def set_up(durations: list[float]) -> Clock:
        made = Clock(durations)
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=made.perf_counter))
        return made

    return set_up


def test_the_first_runs_do_not_count_and_the_rest_fill_the_time(clock):
    fake = clock([9.0, 9.0, 9.0] + [0.010] * 1000)
    found = latency(fake.work, batch=8, seconds=0.999)
    assert found == {"p50": pytest.approx(10), "p99": pytest.approx(10), "samples_per_second": pytest.approx(800)}
    assert fake.runs == 3 + 100


def test_slow_work_is_run_twenty_times_all_the_same(clock):
    fake = clock([1.0] * 100)
    latency(fake.work, batch=1, seconds=0.1)
    assert fake.runs == 3 + 20


def test_p50_and_p99_tell_the_usual_from_the_rare(clock):
    found = latency(clock([0.0] * 3 + [0.001] * 95 + [0.1] * 5).work, batch=1, seconds=0.594)
    assert found["p50"] == pytest.approx(1)
    assert found["p99"] == pytest.approx(100)
    assert found["samples_per_second"] == pytest.approx(100 / 0.595)


def test_a_real_clock_gives_milliseconds():
    found = latency(lambda: time.sleep(0.002), batch=4, seconds=0.01)
    assert 2 <= found["p50"] <= found["p99"]
    assert found["samples_per_second"] <= 4 / 0.002
