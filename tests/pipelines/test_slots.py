import threading
import time

import pytest

from pipelines.slots import Lease, Slots
from quintet.errors import UserError


def test_hands_out_no_more_than_there_is() -> None:
    slots = Slots(3, ["0", "1"])
    first = slots.take(2, 1)
    assert first == Lease(2, ("0",))
    assert slots.take(2, 0) is None
    assert slots.take(1, 2) is None
    second = slots.take(1, 1)
    assert second == Lease(1, ("1",))
    slots.give_back(first)
    assert slots.take(2, 1) == Lease(2, ("0",))


def test_a_refused_request_takes_nothing() -> None:
    slots = Slots(2, ["0"])
    held = slots.take(1, 1)
    assert held is not None
    assert slots.take(1, 1) is None
    assert slots.take(1, 0) == Lease(1, ())


def test_a_stage_that_wants_more_cores_than_there_are_gets_them_all() -> None:
    slots = Slots(2, [])
    assert slots.take(8, 0) == Lease(2, ())


def test_a_stage_that_wants_more_gpus_than_there_are_is_refused_before_it_waits_for_ever() -> None:
    with pytest.raises(UserError, match=r"dvc.yaml: train@a: meta.gpus: 2 asked for, 1 can be used here"):
        Slots(2, ["0"]).check("train@a", 2)


def test_a_lease_cannot_be_given_back_twice() -> None:
    slots = Slots(2, [])
    lease = slots.take(1, 0)
    assert lease is not None
    slots.give_back(lease)
    with pytest.raises(ValueError, match="not in list"):
        slots.give_back(lease)


def test_environment_keeps_a_stage_to_its_lease() -> None:
    assert Slots(4, ["2", "5"]).environment(Lease(3, ("5",))) == {"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "5"}
    assert Slots(4, ["2"]).environment(Lease(1, ()))["CUDA_VISIBLE_DEVICES"] == ""
    assert Slots(4, []).environment(Lease(1, ())) == {"OMP_NUM_THREADS": "1"}


def test_no_slots_is_a_mistake() -> None:
    with pytest.raises(UserError, match="slots: 0 is too few"):
        Slots(0, [])


def test_never_two_holders_of_one_device_from_many_threads() -> None:
    slots, holding, seen = Slots(4, ["0", "1", "2"]), set(), []

    def work() -> None:
        for _ in range(50):
            lease = slots.take(1, 1)
            if lease is not None:
                seen.append(lease.gpus[0] in holding)
                holding.add(lease.gpus[0])
                time.sleep(0)
                holding.discard(lease.gpus[0])
                slots.give_back(lease)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) > 50
    assert not any(seen)
    assert slots.take(4, 3) == Lease(4, ("0", "1", "2"))
