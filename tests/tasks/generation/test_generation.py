"""Made images beside real ones: what each row says, and what the figures are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from quintet.baselines.generation import fit
from quintet.data.spec import Split
from quintet.tasks import TASKS, pictures
from quintet.tasks.generation import Generation, distances, judge, latents, styles, way
from quintet.training.settings import Training

CPU = torch.device("cpu")
STYLEGAN = {"family": "gan", "name": "stylegan", "settings": {"latent_dim": 4, "mapping_layers": 1, "width": 4}}
VAE = {"family": "cnn", "name": "vae", "settings": {"latent_dim": 4, "width": 4, "conditional": True}}


@pytest.fixture
def test_split(objective: Generation) -> Split:
    return objective.inputs.load("test")


def test_a_row_is_a_test_image_and_the_image_made_of_its_class(objective, test_split):
    network = objective.network(VAE).eval()
    found = objective.predict(network, test_split, CPU)
    assert found.ids.tolist() == test_split.ids.tolist()
    assert found.images.shape == test_split.inputs.shape
    expected = network.generate(latents(24, 4), torch.from_numpy(test_split.targets.copy()))
    assert np.abs(found.images - ((expected.detach().numpy() + 1) * 127.5)).max() <= 0.51
    again = objective.predict(network, test_split, CPU)
    assert np.array_equal(again.images, found.images), "nothing is drawn anew"


def test_metrics_are_those_of_the_table_and_equal_the_plain_functions(objective, test_split):
    found = objective.beside(np.array(objective.inputs.load("train").inputs[:24]), test_split, conditional=True)
    metrics = objective.metrics(found)
    assert set(metrics) == set(TASKS["generation"].metrics) - {"inception_fid", "inception_kid"}
    assert metrics["frechet_distance"] == pytest.approx(distances.frechet_distance(found.real, found.features))
    assert metrics["coverage"] == distances.manifolds(found.real, found.features).covered.mean()
    unconditional = objective.beside(np.array(test_split.inputs), test_split, conditional=False)
    assert set(metrics) - set(objective.metrics(unconditional)) == {"class_accuracy"}


def test_recited_training_images_are_good_and_called_copies(objective, test_split):
    train = objective.inputs.load("train")  # whose classes come in the same order
    metrics = objective.metrics(objective.beside(np.array(train.inputs[:24]), test_split, conditional=True))
    assert metrics["copied"] == 1
    assert metrics["class_accuracy"] > 0.9
    assert metrics["coverage"] > 0.6


def test_baselines_noise_covers_nothing_and_gaussians_cover_much(objective, test_split):
    train = objective.inputs.load("train")
    noise, gaussians = (
        objective.metrics(fit(name, objective, train, train).predict(test_split))
        for name in TASKS["generation"].baselines["image"]
    )
    assert noise["coverage"] < 0.2
    assert "class_accuracy" not in noise
    assert gaussians["class_accuracy"] > 0.9
    assert gaussians["frechet_distance"] < 0.1 * noise["frechet_distance"]


def test_the_judge_is_trained_once_and_the_same_whatever_was_drawn_before(objective, monkeypatch):
    look = objective.judge.look(np.array(objective.inputs.load("test").inputs))[0]
    state = torch.random.get_rng_state()
    anew = judge._trained(objective.spec, objective.inputs.load("train"))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.allclose(judge.Judge(anew).look(np.array(objective.inputs.load("test").inputs))[0], look, atol=1e-3)
    monkeypatch.setattr(judge, "_trained", None)
    kept = Generation(objective.spec, objective.inputs.prepared).judge
    assert kept.accuracy == objective.judge.accuracy > 0.7


def test_latents_are_one_sequence_and_ways_lead_from_each_to_the_next():
    assert torch.equal(latents(5, 3), latents(9, 3)[:5])
    latent = latents(6, 4)
    path = way(latent).view(5, 10, 4)
    assert torch.allclose(path[:, 0], latent[:5], atol=1e-6)
    assert torch.allclose(path[:, -1], latent[1:6], atol=1e-6)


def test_of_a_large_split_a_fixed_part_is_looked_at(objective, monkeypatch):
    monkeypatch.setattr("quintet.training.inputs._MOST", 9)
    some = objective.inputs.load("test")
    assert len(some) == 9
    assert np.bincount(some.targets).tolist() == [3, 3, 3]
    assert len(objective.inputs.load("train")) == 48


def test_the_report_gets_pictures_and_what_figures_are_to_be_read_beside(objective, test_split, tmp_path):
    network = objective.network(VAE).eval()
    found = {seed: objective.predict(network, test_split, CPU) for seed in (0, 3)}
    files = objective.write(tmp_path, found)
    assert set(files) == {p.name for p in tmp_path.iterdir()}
    kinds = ("samples", "neighbours", "worst")
    assert set(files) == {"generation.json", *(f"{kind}-seed-{seed}.png" for kind in kinds for seed in (0, 3))}
    beside = json.loads((tmp_path / "generation.json").read_text())
    assert beside["floor"]["frechet_distance"] < 0.1 * beside["ceiling"]["frechet_distance"]
    assert sum(beside["made_of_class"]["3"]) == 24


def test_the_nearest_training_images_and_the_worst_images_are_shown(objective, test_split):
    train = objective.inputs.load("train")
    images = np.array(test_split.inputs)
    images[7] = train.inputs[30]  # recited
    images[9] = 255 - images[9]  # like nothing there is
    found = objective.beside(images, test_split, conditional=False)
    assert found.more["nearest_train_distance"].argmin() == 7
    assert np.array_equal(found.recited[7], train.inputs[30])
    assert found.more["nearest_real_distance"].argmax() == 9


def test_what_a_generator_can_do_besides_is_drawn_and_styles_where_it_has_some(objective, test_split, tmp_path):
    others = {"interpolation-seed-1.png", "truncation-seed-1.png"}
    assert set(objective.draw(objective.network(VAE).eval(), test_split, tmp_path, 1)) == others
    drawn = objective.draw(objective.network(STYLEGAN).eval(), test_split, tmp_path, 1)
    assert set(drawn) == others | {"mixing-seed-1.png"} == {file.name for file in tmp_path.iterdir()}
    with Image.open(tmp_path / "truncation-seed-1.png") as picture:
        pixels = np.asarray(picture)
        assert len({pixels[-42:-2, 2 + 42 * i : 42 * (i + 1)].tobytes() for i in range(10)}) == 1, "at 0 all are one"
        assert len({pixels[2:42, 2 + 42 * i : 42 * (i + 1)].tobytes() for i in range(10)}) == 10
    with Image.open(tmp_path / "mixing-seed-1.png") as picture:
        assert picture.size == (2 + 7 * 42, 2 + 5 * 42)


def test_truncation_draws_styles_to_their_mean_and_latents_to_zero(objective):
    latent = latents(3, 4)
    gan, vae = (objective.network(model).eval() for model in (STYLEGAN, VAE))
    labels = torch.tensor([0, 1, 2])
    with torch.no_grad():
        gan.generator.mean_style.normal_()
        assert torch.equal(styles.truncated(gan, latent, None, 1.0), gan.generate(latent))
        assert torch.equal(styles.truncated(vae, latent, labels, 0.5), vae.generate(0.5 * latent, labels))
        half = styles.truncated(gan, latent, None, 0.5)
        gan.generator.truncation = 0.5
        assert torch.allclose(half, gan.generate(latent), atol=1e-6)


def test_mixed_images_have_the_early_layers_of_the_row_and_the_late_ones_of_the_column(objective):
    network = objective.network(STYLEGAN).eval()
    latent = latents(5, 4)
    with torch.no_grad():
        grid = styles.mixed(network, latent, None, coarse=2)
        own = network.generate(latent)
        style = network.generator.styles(latent)
        both = torch.cat([style[1:2, :2], style[4:5, 2:]], 1)
        assert grid.shape == (3, 4, 1, 8, 8)
        assert torch.allclose(grid[1:, 0], own[:2], atol=1e-6)
        assert torch.allclose(grid[0, 1:], own[2:], atol=1e-6)
        assert torch.allclose(grid[2, 3], network.generator.synthesis(both)[0].clamp(-1, 1), atol=1e-6)


def test_a_grid_shows_every_class_in_a_row_of_its_own(tmp_path):
    images = np.stack([np.full((3, 5, 5), 10 * i, np.uint8) for i in range(4)])
    sorted_ = pictures.sorted_by_class(images, np.array([1, 0, 1, 1]), columns=4)
    assert sorted_[:, :, 0, 0, 0].tolist() == [[10, 255, 255, 255], [0, 20, 30, 255]]
    pictures.save(pictures.grid(sorted_), tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.getpixel((10, 10)) == (10, 10, 10)


def test_work_is_measured_on_making_images(objective):
    for model in (VAE, {"family": "gan", "name": "stylegan", "settings": {"latent_dim": 4, "width": 4}}):
        network = objective.network(model).eval()
        assert objective.called(network)(objective.inputs.example(3, CPU)).shape == (3, 1, 8, 8)
        stored, targets = objective.inputs.collate(objective.inputs.load("train"), np.arange(4))
        training = Training.model_validate({"budget": {"epochs": 1}, "optimiser": {"lr": 0.1}})
        loss = objective.loss(network.train(), objective.inputs.network_input(stored), targets, training)
        loss.backward()
        assert all(p.grad is not None for p in network.parameters())


def test_predictions_fit_into_the_run_folders_table(objective, test_split):
    found = objective.predict(objective.network(VAE).eval(), test_split, CPU)
    table = replace(found).table(seed=7)
    assert table.num_rows == 24
    assert {"copied", "seen", "precise", "of_class"} <= set(table.column_names)
