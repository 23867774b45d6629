"""Every random choice of a training can be made again from seed, epoch and step."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch

from quintet.data.spec import Split
from quintet.training.batches import Batches, seed_generators, step_seed


def split_of(count: int) -> Split:
    """Examples that can be told apart: input and target of the i-th are i."""
    inputs = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    return Split(ids=np.arange(count).astype(str), inputs=inputs, targets=np.arange(count))


def batches_of(split: Split, batch_size: int, seed: int, **options: Any) -> Batches:
    def collate(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(split.inputs[rows]), torch.from_numpy(split.targets[rows])

    return Batches(len(split), collate, batch_size, seed, **options)


def epoch(batches: Batches) -> list[list[int]]:
    return [targets.tolist() for _, targets in batches]


@pytest.mark.parametrize(("count", "size"), [(24, 6), (24, 12), (24, 1), (25, 6), (23, 11)])
def test_an_epoch_has_each_example_once_in_whole_batches(count, size):
    seen = epoch(batches_of(split_of(count), size, seed=0))
    assert len(seen) == len(batches_of(split_of(count), size, seed=0)) == count // size
    assert {len(batch) for batch in seen} == {size}
    assert len(set(chain(*seen))) == size * (count // size)


def test_those_left_over_are_others_in_every_epoch():
    batches = batches_of(split_of(25), 6, seed=0)
    left_over = [set(range(25)) - set(chain(*epoch(batches))) for _ in range(12)]
    assert {len(left) for left in left_over} == {1}
    assert len(set.union(*left_over)) > 4


def test_inputs_and_targets_stay_together():
    for inputs, targets in batches_of(split_of(24), 5, seed=0):
        assert inputs.dtype == torch.uint8
        assert targets.dtype == torch.int64
        assert inputs.shape == (5, 1, 2, 2)
        assert torch.equal(inputs[:, 0, 0, 0].long(), targets)


def test_the_order_is_that_of_seed_and_epoch_and_of_nothing_else():
    one, two = batches_of(split_of(40), 8, seed=3), batches_of(split_of(40), 8, seed=3)
    first = epoch(one)
    torch.manual_seed(1)
    np.random.seed(1)
    assert first == epoch(two)
    second = epoch(one)
    assert second != first
    assert second == epoch(two)
    assert first != epoch(batches_of(split_of(40), 8, seed=4))
    assert list(chain(*first)) != sorted(chain(*first))


@pytest.mark.parametrize("done", [1, 4, 5, 7, 10, 12])
def test_a_stored_state_goes_on_with_the_same_batches(done):
    whole = batches_of(split_of(40), 8, seed=3)
    expected = [batch for _ in range(4) for batch in epoch(whole)]

    interrupted = batches_of(split_of(40), 8, seed=3)
    seen: list[list[int]] = []
    while len(seen) < done:
        for _, targets in interrupted:
            seen.append(targets.tolist())
            if len(seen) == done:
                break
    state = interrupted.state_dict()
    resumed = batches_of(split_of(40), 8, seed=3)
    resumed.load_state_dict(state)
    while len(seen) < len(expected):
        seen += epoch(resumed)
    assert seen == expected


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_divide_the_same_batch_among_them(processes):
    whole = batches_of(split_of(50), 8, seed=1)
    ranks = [batches_of(split_of(50), 8, 1, rank=rank, world_size=processes) for rank in range(processes)]
    assert {len(rank) for rank in ranks} == {len(whole)}
    for _ in range(2):
        for batch, *shares in zip(epoch(whole), *map(epoch, ranks), strict=True):
            assert {len(share) for share in shares} == {8 // processes}
            assert sorted(chain(*shares)) == sorted(batch)


@pytest.mark.parametrize("size", [6, 10, 64])
def test_an_epoch_has_two_batches_at_least_so_that_it_can_be_saved_between_them(size):
    seen = epoch(batches_of(split_of(10), size, seed=0))
    assert [len(batch) for batch in seen] == [5, 5]
    assert sorted(chain(*seen)) == list(range(10))


def test_processes_share_a_small_split_evenly():
    ranks = [epoch(batches_of(split_of(11), 64, 0, rank=rank, world_size=4)) for rank in range(4)]
    assert [[len(batch) for batch in rank] for rank in ranks] == [[1, 1]] * 4
    assert len(set(chain(*chain(*ranks)))) == 8


def test_memory_mapped_splits_give_the_same_batches(tmp_path):
    split = split_of(20)
    for part in ("inputs", "targets"):
        np.save(tmp_path / f"{part}.npy", getattr(split, part))
    mapped = Split(split.ids, *(np.load(tmp_path / f"{part}.npy", mmap_mode="r") for part in ("inputs", "targets")))
    for ours, theirs in zip(batches_of(mapped, 5, seed=0), batches_of(split, 5, seed=0), strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
        ours[0].add_(1)  # a copy of one's own, not the file


def test_parts_of_a_batch_are_the_batch():
    whole, parts = epoch(batches_of(split_of(50), 8, 1)), epoch(batches_of(split_of(50), 8, 1, parts=4))
    assert len(parts) == 4 * len(whole)
    assert [[*chain(*parts[i : i + 4])] for i in range(0, len(parts), 4)] == whole


def test_batches_by_length_hold_like_lengths_in_random_order_and_every_example_once():
    lengths = np.random.default_rng(0).permutation(np.arange(200)) // 2
    batches = batches_of(split_of(200), 10, 1, lengths=lengths)
    first, second = epoch(batches), epoch(batches)
    assert sorted(chain(*first)) == list(range(200))
    assert first != second
    spread = np.mean([np.ptp(lengths[batch]) for batch in first])
    assert spread < 15  # of 100; without sorting it is about 80
    middles = [float(np.median(lengths[batch])) for batch in first]
    assert middles != sorted(middles)


def test_step_seeds_differ_in_seed_step_and_rank_and_fill_their_63_bits():
    seeds = [step_seed(seed, step, rank) for seed in range(5) for step in range(2000) for rank in range(4)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    bits = np.array([[seed >> bit & 1 for bit in range(63)] for seed in seeds]).mean(0)
    assert np.abs(bits - 0.5).max() < 0.02
    torch.manual_seed(max(seeds))


def test_neighbouring_steps_draw_unrelated_numbers():
    draws = torch.stack(
        [torch.rand(50, generator=torch.Generator().manual_seed(step_seed(0, step))) for step in range(200)]
    )
    related = torch.corrcoef(draws.T)
    assert float((related - torch.eye(50)).abs().max()) < 0.35


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_what_is_drawn_after_seeding_is_what_torch_would_draw(seed):
    torch.manual_seed(seed)
    theirs = torch.rand(5)
    seed_generators(seed, torch.device("cpu"))
    assert torch.equal(torch.rand(5), theirs)


def test_the_device_that_trains_is_seeded_too(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    seed_generators(7, torch.device("cuda", 0))
    assert (seeded, torch.initial_seed()) == ([7], 7)
