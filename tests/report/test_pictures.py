"""Pictures of what networks made: small enough for the page, and refused where they are damaged."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quintet.errors import UserError
from quintet.report import build, pictures
from quintet.tasks import pictures as grids
from tests.report.conftest import DREAMERS, write_pictures


def decoded(shown: pictures.Shown) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.uri.partition(",")[2]))))


def test_a_picture_stays_as_it_is_where_it_is_small_and_loses_where_it_is_not() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (42, 42), np.uint8).repeat(3, 0).repeat(3, 1)
    kept = pictures.shown(small, 9_000)
    assert kept.uri.startswith("data:image/png")
    assert np.array_equal(decoded(kept), small)
    noise = rng.integers(0, 256, (340, 340, 3), np.uint8)
    for limit in (60_000, 9_000):
        lossy = pictures.shown(noise, limit)
        assert len(base64.b64decode(lossy.uri.partition(",")[2])) <= limit
        assert (lossy.width, lossy.height) == (340, 340), "the size that it is shown at stays"


def test_a_strip_is_one_row_of_a_grid() -> None:
    images = np.arange(3 * 4, dtype=np.uint8).reshape(3, 4, 1, 1, 1) * np.ones((8, 8), np.uint8)
    grid = grids.grid(images)[..., 0]
    for row in range(3):
        assert np.array_equal(pictures.strip(grid, row, 3), grids.grid(images[row : row + 1])[..., 0])


def test_report_and_markdown_say_what_was_never_made_and_what_training_warned_of(dreams: Path) -> None:
    report = json.loads((dreams / "report" / "report.json").read_text())
    made = {row["experiment"]: row["made"] for row in report["leaderboard"]}
    assert made["dreams-dcgan"]["never_made"] == {"1": ["4"]}
    assert made["dreams-dcgan"]["warnings"] == ["seed 1, epoch 7: made images are all alike; at the end 80 %"]
    assert made["dreams-vae"]["images_of_class"]["0"]["4"] > 0
    assert made["dreams-vae"]["floor"]["frechet_distance"] == 0.4
    assert made["mends-pix2pix"] is None
    [answer] = [a for a in report["answers"] if a["task"] == "generation"]
    assert "Classes never made, as the judge sees them: DCGAN 4 (1 of 2 seeds)." in answer["findings"]
    assert any(f.startswith("Warned of while training: DCGAN, seed 1, epoch 7") for f in answer["findings"])
    text = (dreams / "report" / "report.md").read_text()
    assert "right on 97.0 % of real images: training images (the floor): coverage 96.0 %, fréchet distance 0.4" in text


def test_a_network_of_photographs_adds_little_to_the_page(tmp_path: Path) -> None:
    write_pictures(tmp_path / "runs/dreams-dcgan/evaluate", DREAMERS[0], "generation", 2)

    def size() -> int:
        build(tmp_path, tmp_path / "report", suite="s", experiments=["dreams-dcgan"], baselines=[], resamples=20)
        return (tmp_path / "report/index.html").stat().st_size

    digits = size()
    rng = np.random.default_rng(0)
    for file in (tmp_path / "runs").rglob("*.png"):
        colourful = rng.integers(0, 256, (342, 342, 3), np.uint8)
        Image.fromarray(colourful).save(file)
    assert size() - digits < 150_000


def test_a_damaged_or_missing_picture_is_named_with_the_stage_that_makes_it(tmp_path: Path) -> None:
    folder = tmp_path / "runs/dreams-vae/evaluate"
    write_pictures(folder, DREAMERS[1], "generation", 1)
    for file, stage in (
        (folder / "samples-seed-0.png", "evaluate"),
        (folder.parent / "train/seed-0/samples.png", "train"),
        (folder / "generation.json", "evaluate"),
        (folder.parent / "train/seed-0/game.json", "train"),
    ):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=rf"{file.name}: .*cannot be read.*dvc repro {stage}@dreams-vae"):
            build(tmp_path, tmp_path / "report", suite="s", experiments=["dreams-vae"], baselines=[], resamples=20)
        file.write_bytes(whole)
