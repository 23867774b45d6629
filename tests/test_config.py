"""Whatever is wrong with params.yaml is told in one line, with its place, before any work."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from quintet import config, experiment, models, yaml_file
from quintet.data import DATASETS, OWN_FORMATS
from quintet.errors import UserError
from quintet.models.member import Member
from quintet.training.settings import Budget, Training

ROOT = Path(__file__).parents[1]
SUITES = sorted((ROOT / "suites").glob("*.yaml"))

SOUND = """\
suite: mine
seeds: [0, 1]
data:
  digits: {set: digits}
own_data: {}
baselines:
  digits: {data: digits, task: classification}
training:
  budget: {epochs: 2}
  batch_size: 64
  optimiser: {lr: 1e-3}
trainer: {}
evaluation: {}
experiments:
  vit:
    data: digits
    task: classification
    model:
      family: transformer
      name: vit
      settings: {patch_size: 2, embed_dim: 32, num_heads: 4}
    expect: {accuracy: 0.9}
  gru:
    data: digits
    task: classification
    model: {family: rnn, name: gru}
    training: {batch_size: 32}
pretraining: {}
finetuning: {}
"""


def check(tmp_path: Path, text: str) -> config.Suite:
    (tmp_path / "params.yaml").write_text(text, encoding="utf8")
    return config.load(tmp_path)


def complaint(tmp_path: Path, text: str) -> str:
    """The one line that a file ends in, from 'params.yaml' on."""
    with pytest.raises(UserError) as caught:
        check(tmp_path, text)
    return str(caught.value).removeprefix(f"{tmp_path}/")


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_every_suite_is_sound(file):
    document = yaml_file.load(file)
    assert config.check(document.content, document.where).suite == file.stem


def test_the_suite_in_force_in_a_fresh_clone_is_embedded():
    assert len(SUITES) >= 2
    assert config.load(ROOT).suite in {file.stem for file in SUITES}


def test_an_experiment_is_complete_defaults_and_all(tmp_path):
    suite = check(tmp_path, SOUND)
    vit, gru = suite.experiments["vit"], suite.experiments["gru"]
    assert {"patch_size": 2, "embed_dim": 32, "num_layers": 12, "num_heads": 4}.items() <= vit.model.settings.items()
    assert (vit.seeds, vit.expect, vit.trainer.precision) == ((0, 1), {"accuracy": 0.9}, "auto")
    assert (vit.training.batch_size, gru.training.batch_size) == (64, 32)
    assert gru.training.budget == vit.training.budget == Budget(epochs=2)
    assert (suite.data["digits"].kind, suite.data["digits"].shape) == ("image", (1, 8, 8))


def test_an_experiments_own_key_replaces_the_shared_key_as_a_whole(tmp_path):
    text = SOUND.replace("training: {batch_size: 32}", "training: {budget: {steps: 7}, augment: {crop: 1}}")
    made = check(tmp_path, text.replace("batch_size: 64", "augment: {flip: true}")).experiments
    assert made["gru"].training.budget == Budget(steps=7)
    assert (made["gru"].training.augment.crop, made["gru"].training.augment.flip) == (1, False)
    assert (made["vit"].training.augment.crop, made["vit"].training.augment.flip) == (0, True)


# What is replaced by what, the line (and column) that is named, and what is said of it.
MISTAKES = [
    # names
    ("seeds:", "seds:", "2", "seds: unknown setting 'seds'; did you mean 'seeds'? it takes: baselines, "),
    ("lr: 1e-3", "lrr: 1e-3", "11", "training.optimiser.lrr: unknown setting 'lrr'; did you mean 'lr'?"),
    ("{patch_size", "{pach_size", "21",
     "experiments.vit.model.settings.pach_size: unknown setting 'pach_size'; did you mean 'patch_size'? it "
     "takes: dropout, "),
    ("{batch_size: 32}", "{btch_size: 3}", "27",
     "experiments.gru.training.btch_size: unknown setting 'btch_size'; did you mean 'batch_size'?"),
    ("name: vit", "name: vti", "20",
     "experiments.vit.model.name: unknown transformer model 'vti'; did you mean 'vit'?"),
    ("family: rnn", "family: rn", "26", "experiments.gru.model.family: unknown family 'rn'; did you mean 'rnn'?"),
    ("family: rnn", "family: cnn", "26",
     "experiments.gru.model.family: 'gru' is not of family 'cnn'; it is of family 'rnn'"),
    ("task: classification\n    model: {", "task: clasification\n    model: {", "25",
     "experiments.gru.task: unknown task 'clasification'; did you mean 'classification'?"),
    ("{data: digits, task: classification}", "{data: digits, task: clas}", "7",
     "baselines.digits.task: unknown task 'clas'"),
    ("set: digits", "set: digit", "4",
     "data.digits.set: unknown data set 'digit'; did you mean 'digits'? it takes: cifar10, "),
    ("accuracy: 0.9", "acuracy: 0.9", "22",
     "experiments.vit.expect: unknown metric 'acuracy'; did you mean 'accuracy'?"),
    ("  vit:", "  ViT_2:", "15",
     "experiments.ViT_2: 'ViT_2' can not be a name; use small letters, digits and single"),
    ("  vit:", f"  {'v' * 81}:", "15", f"experiments.{'v' * 81}: the name has 81 characters; use 80 at most"),
    ("  vit:", "  2:", "15", "experiments.2: the key 2 is no text; write it in quotes: '2'"),
    ("suite: mine", "suite: My suite", "1", "suite: 'My suite' can not be a name"),
    ("  digits: {set", "  Digits: {set", "4", "data.Digits: 'Digits' can not be a name"),
    ("  digits: {data", "  di/gits: {data", "7", "baselines.di/gits: 'di/gits' can not be a name"),
    ("lr: 1e-3", "lr: 1e-3, 2: 3", "11", "training.optimiser.2: the key 2 is no text; write it in quotes: '2'"),
    # data
    ("  vit:\n    data: digits", "  vit:\n    data: digit", "16",
     "experiments.vit.data: unknown data set 'digit'; did you mean 'digits'? it takes: digits"),
    ("{data: digits,", "{data: dgits,", "7",
     "baselines.digits.data: unknown data set 'dgits'; did you mean 'digits'?"),
    ("own_data: {}", "own_data: {digits: {format: image-folder, path: p, image_size: [8, 8]}}", "5",
     "own_data.digits: 'digits' is declared under data as well; choose another name"),
    ("own_data: {}", "own_data: {pets: {format: image-folder, path: no/where, image_size: [8, 8]}}", "5",
     "own_data.pets.path: no such folder: no/where"),
    ("{set: digits}", "digits", "4", "data.digits: is 'digits'; it takes settings, such as {set: digits}"),
    ("  digits: {set: digits}\n", "  {}\n", "3", "data: no data set is declared; declare one, such as"),
    ("  digits: {data: digits, task: classification}\n", "  {}\n", "15",
     "experiments.vit: no baseline is declared for classification on digits; add under baselines: 'digits: "
     "{data: digits, task: classification}'"),
    # sections
    ("own_data: {}\n", "", "", "section 'own_data' is missing; dvc.yaml reads it; write own_data: {} for none"),
    ("trainer: {}\n", "", "", "section 'trainer' is missing"),
    ("seeds: [0, 1]\n", "", "", "'seeds' is missing; it takes: suite, seeds, "),
    ("own_data: {}", "own_data:", "5", "own_data: is empty; it should be settings (key: value)"),
    ("own_data: {}", "own_data: [digits]", "5", "own_data: is ['digits']; it should be settings (key: value)"),
    ("trainer: {}", "trainer:", "12", "trainer: is empty; it should be settings (key: value)"),
    ("{data: digits, task: classification}", "", "7", "baselines.digits: is empty; it takes settings: data, task"),
    ("    model: {family: rnn, name: gru}\n", "", "23",
     "experiments.gru: 'model' is missing; it takes: data, task, "),
    ("    model: {family: rnn, name: gru}\n", "    model: gru\n", "26",
     "experiments.gru.model: is 'gru'; it should be settings"),
    ("settings: {patch_size: 2, embed_dim: 32, num_heads: 4}", "settings:", "21",
     "experiments.vit.model.settings: is empty; it should be settings (key: value)"),
    ("  budget: {epochs: 2}\n", "", "8", "training: 'budget' is missing; it takes: budget, "),
    # seeds
    ("[0, 1]", "[]", "2", "seeds: there are no seeds, so nothing would be trained; give at least one, such as [0]"),
    ("[0, 1]", "[3, 3]", "2", "seeds: a seed stands twice in [3, 3]; give each seed once"),
    ("[0, 1]", "3", "2", "seeds: is 3; it should be a list"),
    ("[0, 1]", "[0, true]", "2", "seeds.1: is true; it should be a whole number"),
    ("[0, 1]", "[0, -1]", "2", "seeds.1: is -1; it should be greater than or equal to 0"),
    ("[0, 1]", "[4294967296]", "2", "seeds.0: is 4294967296; it should be less than 4294967296"),
    # budget
    ("{epochs: 2}", "{epochs: 0}", "9", "training.budget.epochs: is 0; it should be greater than 0"),
    ("{epochs: 2}", "{seconds: 0}", "9", "training.budget.seconds: is 0; it should be greater than 0"),
    ("{epochs: 2}", "{seconds: .inf}", "9", "training.budget.seconds: is inf; it should be a finite number"),
    ("{epochs: 2}", "{epochs: 2, steps: 3}", "9",
     "training.budget: takes exactly one of epochs, steps, seconds; it has epochs and steps"),
    ("{epochs: 2}", "{}", "9", "training.budget: takes exactly one of epochs, steps, seconds; it has none"),
    ("{epochs: 2}", "2", "9", "training.budget: is 2; it should be settings (key: value)"),
    ("{epochs: 2}", "{epochs: 1.5}", "9", "training.budget.epochs: is 1.5; it should be a whole number"),
    ("{epochs: 2}", "{epochs: true}", "9", "training.budget.epochs: is true; it should be a whole number"),
    ("{batch_size: 32}", "{budget: {epochs: 0}}", "27", "experiments.gru.training.budget.epochs: is 0; it should be"),
    # types and bounds
    ("lr: 1e-3", "lr: fast", "11", "training.optimiser.lr: is 'fast'; it should be a number"),
    ("lr: 1e-3", "lr: -1", "11", "training.optimiser.lr: is -1; it should be greater than 0"),
    ("lr: 1e-3", "lr: 1e999", "11", "training.optimiser.lr: is inf; it should be a finite number"),
    ("lr: 1e-3", "lr: .nan", "11", "training.optimiser.lr: is nan; it should be a finite number"),
    ("lr: 1e-3", "lr: 1, name: adam", "11", "training.optimiser.name: is 'adam'; it should be 'adamw' or 'sgd'"),
    ("lr: 1e-3", "lr: 1, betas: [0.9]", "11", "training.optimiser.betas: is [0.9]; it needs 2 values at least"),
    ("lr: 1e-3", "lr: 1, betas: [0.9, 1]", "11", "training.optimiser.betas.1: is 1; it should be less than 1"),
    ("batch_size: 64", "batch_size: 0", "10", "training.batch_size: is 0; it should be greater than 0"),
    ("batch_size: 64", "augment: {flip: on}", "10", "training.augment.flip: is 'on'; it should be true or false"),
    ("batch_size: 64", "augment: {crop: -1}", "10",
     "training.augment.crop: is -1; it should be greater than or equal to 0"),
    ("batch_size: 64", "augment: {crop: 8}", "15",
     "experiments.vit: augment.crop 8 would leave nothing of images of 8 x 8"),
    ("patch_size: 2", "patch_size: '2'", "21",
     "experiments.vit.model.settings.patch_size: is '2'; it should be a whole number"),
    ("patch_size: 2", f"patch_size: [{'1, ' * 500}]", "21",
     "experiments.vit.model.settings.patch_size: is (1, 1, 1, 1, 1, 1, ...); it should be a whole number"),
    ("accuracy: 0.9", "accuracy: high", "22", "experiments.vit.expect.accuracy: is 'high'; it should be a number"),
    ("accuracy: 0.9", "accuracy: .nan", "22",
     "experiments.vit.expect.accuracy: is nan; it should be a finite number"),
    ("evaluation: {}", "evaluation: {latency_batches: []}", "13",
     "evaluation.latency_batches: is []; it should be a list of"),
    ("evaluation: {}", "evaluation: {confidence: 1}", "13", "evaluation.confidence: is 1; it should be less than 1"),
    ("evaluation: {}", "evaluation: {confidence: 0}", "13",
     "evaluation.confidence: is 0; it should be greater than 0"),
    ("trainer: {}", "trainer: {devices: all}", "12",
     "trainer.devices: is 'all'; it should be a whole number or 'auto'"),
    ("trainer: {}", "trainer: {strategy: zero}", "12",
     "trainer.strategy: is 'zero'; it should be 'auto', 'ddp' or 'fsdp'"),
    ("trainer: {}", "trainer: {strategy: fsdp, devices: auto}", "12",
     "trainer.strategy: fsdp shares weights out over a number of devices; set trainer.devices to it"),
    ("trainer: {}", "trainer: {strategy: fsdp, precision: 16-mixed}", "12",
     "trainer.strategy: fsdp scales no losses, as 16-mixed would need; set trainer.precision to bf16-mixed"),
    # what does not go together
    ("trainer: {}", "trainer: {devices: 3}", "15",
     "experiments.vit: batch_size 64 can not be split evenly over 3 processes"),
    ("trainer: {}", "trainer: {devices: 2, num_nodes: 3}", "15",
     "experiments.vit: batch_size 64 can not be split evenly over 6 processes; take a multiple of 6"),
    ("patch_size: 2", "patch_size: 3", "18",
     "experiments.vit.model: vit does not fit 'digits': patch_size 3 does not divide images of 8 x 8; 1, 2, 4 or "
     "8 would"),
    ("num_heads: 4", "num_heads: 5", "18",
     "experiments.vit.model: vit does not fit 'digits': num_heads 5 does not divide"),
    # syntax
    ("  gru:", "  vit:", "23:3", "'experiments.vit' is given twice, first on line 15; give each its own name"),
    ("{lr: 1e-3}", "{lr: 1e-3", "12:8", "is not YAML: "),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "what"), MISTAKES, ids=[row[1].strip()[:40] for row in MISTAKES])
def test_a_mistake_is_told_in_one_line_with_its_place(tmp_path, old, new, place, what):
    assert old in SOUND
    told = complaint(tmp_path, SOUND.replace(old, new, 1))
    assert told.startswith(f"params.yaml{':' if place else ''}{place}: {what}")
    assert told.splitlines() == [told]
    assert len(told) < 400


def test_the_text_of_the_mistakes_is_sound_without_them(tmp_path):
    assert list(check(tmp_path, SOUND).experiments) == ["vit", "gru"]


def test_a_model_of_another_kind_of_data_is_refused_with_those_that_fit(tmp_path, monkeypatch):
    reader = Member(path="quintet.models.rnn.gru:GRU", title="Reader", paper="", inputs=("text",))
    monkeypatch.setitem(models.FAMILIES, "rnn", {**models.FAMILIES["rnn"], "reader": reader})
    told = complaint(tmp_path, SOUND.replace("name: gru", "name: reader"))
    assert told == (
        "params.yaml:26: experiments.gru.model: reader reads text data, and 'digits' is image data; models that read "
        "it: lenet, alexnet, vgg, resnet, resnet-cifar, vit, rnn, lstm, gru"
    )


@pytest.mark.parametrize(
    ("change", "needs"),
    [
        ({"kinds": ("series", "text")}, "series or text data with a class"),
        ({"target": "value"}, "image or text data with a value"),
    ],
    ids=["kind", "target"],
)
def test_a_task_for_other_data_is_refused_with_those_that_fit(tmp_path, monkeypatch, change, needs):
    monkeypatch.setitem(config.TASKS, "forecasting", replace(config.TASKS["classification"], **change))
    text = SOUND.replace("task: classification\n    model: {f", "task: forecasting\n    model: {f")
    assert complaint(tmp_path, text) == (
        f"params.yaml:23: experiments.gru: task forecasting needs {needs}, and 'digits' is image data "
        "with a class; tasks that fit it: classification, generation, inpainting, augmentation"
    )


def test_two_domains_are_two_classes(tmp_path):
    text = SOUND.replace("task: classification\n    model: {f", "task: style_transfer\n    model: {f")
    assert complaint(tmp_path, text) == (
        "params.yaml:23: experiments.gru: task style_transfer needs data of 2 classes, and 'digits' has 10; "
        "tasks that fit it: classification, generation, inpainting, augmentation"
    )


def test_devices_that_are_counted_later_do_not_divide_the_batch_now(tmp_path):
    assert (
        check(tmp_path, SOUND.replace("trainer: {}", "trainer: {devices: auto}")).experiments["vit"].trainer.devices
        == "auto"
    )


def where(*keys: str | int) -> str:
    return ": ".join(["params.yaml", ".".join(map(str, keys))] if keys else ["params.yaml"])


OWN = {"format": "image-folder", "path": "suites", "image_size": [8, 8]}
ODD_VALUES = [
    *(None, True, False, 0, 1, -1, 2**40, 0.5, 1e300, float("nan"), float("inf"), yaml.safe_load("2020-01-01"), b"x"),
    *("", "auto", "digits", "cnn", "lenet", "\n", "\u2028", "\ud800", "a" * 500),
    *([], [0], [None], (), set(), {}, {"": 1}, {None: 1}, {1: 2}, {(1, 2): 3}, OWN, {"pets": OWN}),
]
TEXT = st.text("aé:/$ \n", max_size=3)
ODD = st.sampled_from(ODD_VALUES) | TEXT | st.integers() | st.floats()
KEYS = st.sampled_from(["x", 1, None, "a\nb", "experiments", "set", "name", "data", "path", ("a", 1)]) | st.text(
    max_size=3
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in below for place in places(value, (*path, key)))]


def is_checked(raw: dict[Any, Any]) -> None:
    """A suite comes out, or one line; anything else is our mistake."""
    told = ""
    try:
        config.check(raw, where)
    except UserError as e:
        told = str(e)
    assert told.isprintable()
    assert len(told.splitlines()) <= 1


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_suite_with_anything_changed_is_a_suite_or_one_line(data):
    raw = copy.deepcopy(yaml.safe_load(SOUND))
    for _ in range(data.draw(st.integers(1, 3))):
        spots = [place for place in places(raw) if place]
        if not spots:
            break
        *above, last = data.draw(st.sampled_from(spots))
        holder = raw
        for key in above:
            holder = holder[key]
        change = data.draw(st.sampled_from(["replace", "replace", "add", "drop"]))
        if change == "replace":
            holder[last] = copy.deepcopy(data.draw(ODD))
        elif change == "add" and isinstance(holder, dict):
            holder[data.draw(KEYS)] = copy.deepcopy(data.draw(ODD))
        elif change == "drop":
            del holder[last]
    is_checked(raw)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        KEYS | st.sampled_from(list(yaml.safe_load(SOUND))),
        st.recursive(ODD, lambda inner: st.dictionaries(KEYS, inner)),
    )
)
def test_any_mapping_is_a_suite_or_one_line(raw):
    is_checked(raw)


# -- pre-training and fine-tuning

STARTED = """\
pretraining:
  small:
    data: prose
    task: pretraining
    model: {family: bert, name: bert, settings: {embed_dim: 32, num_layers: 1, num_heads: 4}}
    seeds: [7]
finetuning:
  tuned: {data: topics, task: classification, pretrained: small, labels: 0.1}
"""
STARTS = {
    "  digits: {set: digits}\n": "  digits: {set: digits}\n"
    "  prose: {set: pydoc-prose}\n  topics: {set: pydoc-topics}\n",
    "  digits: {data: digits, task: classification}\n": "  digits: {data: digits, task: classification}\n"
    "  prose: {data: prose, task: pretraining}\n  topics: {data: topics, task: classification}\n",
}


def with_start(started: str) -> str:
    text = SOUND.replace("pretraining: {}\nfinetuning: {}\n", started)
    for old, new in STARTS.items():
        text = text.replace(old, new)
    return text


def test_a_fine_tuning_has_the_model_of_its_pretraining(tmp_path):
    made = check(tmp_path, with_start(STARTED)).experiments
    assert list(made) == ["vit", "gru", "small", "tuned"]
    assert made["tuned"].model == made["small"].model
    assert (made["small"].seeds, made["tuned"].seeds) == ((7,), (0, 1))
    assert (made["tuned"].pretrained, made["tuned"].fresh, made["tuned"].labels) == ("small", False, 0.1)
    assert [m.section for m in made.values()] == ["experiments", "experiments", "pretraining", "finetuning"]


def test_a_fine_tuning_may_drop_more_out(tmp_path):
    started = STARTED.replace("labels: 0.1", "settings: {dropout: 0.3}")
    made = check(tmp_path, with_start(started)).experiments
    assert made["small"].model.settings["dropout"] == 0.1
    assert made["tuned"].model.settings == {**made["small"].model.settings, "dropout": 0.3}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "pretrained: small",
            "pretrained: smal",
            "tuned.pretrained: unknown pre-training 'smal'; did you mean 'small'",
        ),
        ("pretrained: small, ", "", "finetuning.tuned: 'pretrained' is missing"),
        ("  tuned:", "  gru:", "finetuning.gru: 'gru' stands under experiments as well"),
        ("labels: 0.1", "labels: 0", "finetuning.tuned.labels: is 0; it should be"),
        ("seeds: [7]", "seeds: []", "pretraining.small.seeds: there are no seeds"),
        (
            "{family: bert, name: bert, settings: {embed_dim: 32, num_layers: 1, num_heads: 4}}",
            "{family: rnn, name: gru}",
            "pretraining.small.model.family: is 'rnn', and only bert is pre-trained",
        ),
        (
            "task: pretraining\n",
            "task: pretraining\n    training: {label_smoothing: 0.1}\n",
            "pretraining.small: label_smoothing 0.1 means nothing to pretraining; set it for experiments of class",
        ),
        ("pretrained: small", "model: {}", "finetuning.tuned.model: unknown setting 'model'"),
        ("labels: 0.1", "settings: {num_layers: 2}", "tuned.settings.num_layers: the pre-training decides num_layers"),
        ("labels: 0.1", "settings: {dropout: 2}", "finetuning.tuned.settings.dropout: is 2; it should be"),
    ],
)
def test_what_is_wrong_with_a_fine_tuning_is_told(tmp_path, old, new, told):
    assert told in complaint(tmp_path, with_start(STARTED.replace(old, new)))


# -- published checkpoints

HUB = """\
suite: mine
seeds: [0]
data:
  phrases: {set: generated-sentiment}
  prose: {set: pydoc-prose, length: 48}
own_data: {}
baselines:
  phrases: {data: phrases, task: classification}
  prose: {data: prose, task: pretraining}
training: {budget: {epochs: 1}, batch_size: 8, optimiser: {lr: 1e-3}}
trainer: {}
evaluation: {}
experiments:
  hub:
    data: phrases
    task: classification
    model: {family: bert, name: bert, pretrained: google/bert_uncased_L-2_H-128_A-2}
pretraining:
  small: {data: prose, task: pretraining, model: {family: bert, name: bert}}
finetuning:
  tuned: {data: phrases, task: classification, pretrained: small}
"""


def test_a_checkpoint_decides_the_sizes_and_may_be_a_folder(tmp_path):
    text = HUB.replace("set: generated-sentiment", "set: generated-sentiment, length: 48")
    model = check(tmp_path, text).experiments["hub"].model
    assert (model.pretrained, model.settings) == ("google/bert_uncased_L-2_H-128_A-2", {})
    (tmp_path / "published").mkdir()
    (tmp_path / "published/config.json").touch()
    model = f"{{family: bert, name: bert, pretrained: {tmp_path}/published, settings: {{dropout: 0.2}}}}"
    text = text.replace("{family: bert, name: bert, pretrained: google/bert_uncased_L-2_H-128_A-2}", model)
    assert check(tmp_path, text).experiments["hub"].model.settings == {"dropout": 0.2}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "family: bert, name: bert, pretrained",
            "family: rnn, name: gru, pretrained",
            "experiments.hub.model.pretrained: gru reads no checkpoints; models that do: bert",
        ),
        (
            "pretrained: google/bert_uncased_L-2_H-128_A-2",
            "pretrained: ./absent/bert",
            "hub.model.pretrained: there is no folder './absent/bert', and it is no name on the hub; give",
        ),
        (
            "pretrained: google/bert_uncased_L-2_H-128_A-2",
            "pretrained: .",
            "hub.model.pretrained: the folder '.' has no config.json",
        ),
        (
            "pretrained: google/bert_uncased_L-2_H-128_A-2",
            "pretrained: bert-base-uncased, settings: {num_layers: 2}",
            "hub.model.settings.num_layers: the checkpoint decides num_layers; leave it out; beside",
        ),
        (
            "length: 48",
            "length: 32",
            "finetuning.tuned.data: 'phrases' has texts of up to 40 tokens, and small was pre-trained on 32",
        ),
    ],
)
def test_what_is_wrong_with_a_start_is_told(tmp_path, old, new, told):
    text = HUB.replace("set: generated-sentiment", "set: generated-sentiment, length: 40")
    check(tmp_path, text)
    assert told in complaint(tmp_path, text.replace(old, new))


# -- docs/params.md


def fields(model: type[BaseModel], prefix: str) -> dict[str, Any]:
    """Every key below `prefix` with its default, sections included; REQUIRED where there is none."""
    found: dict[str, Any] = {}
    for key, field in model.model_fields.items():
        default = REQUIRED if field.is_required() else field.get_default(call_default_factory=True)
        found[prefix + key] = default.model_dump(exclude_defaults=True) if isinstance(default, BaseModel) else default
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= fields(inner, f"{prefix}{key}.")
    return found


REQUIRED = "required"
EVERY_KEY = {
    **fields(config._File, ""),
    **fields(config.Baseline, "baselines.NAME."),
    **fields(Training, "training."),
    **fields(experiment.Trainer, "trainer."),
    **fields(config.Evaluation, "evaluation."),
    **fields(experiment._Entry, "experiments.NAME."),
    **fields(experiment._Pretraining, "pretraining.NAME."),
    **fields(experiment._Finetuning, "finetuning.NAME."),
}
DATA_KEYS = {
    f"{section}.NAME.{key}"
    for section, table in (("data", DATASETS), ("own_data", OWN_FORMATS))
    for entry in table.values()
    for key in entry.options.model_fields
}
ROWS = {
    row[1].strip("` "): [cell.strip() for cell in row[2:-1]]
    for line in (ROOT / "docs" / "params.md").read_text(encoding="utf8").splitlines()
    if len(row := line.split("|")) > 3 and row[1].strip().startswith("`")
}


def test_params_md_explains_every_key_and_none_besides():
    assert set(ROWS) == {*EVERY_KEY, *DATA_KEYS}
    assert all(len(row) == 3 and all(row) for row in ROWS.values())


@pytest.mark.parametrize("key", EVERY_KEY)
def test_params_md_gives_the_default_that_holds(key):
    shown = ROWS[key][1]
    default = EVERY_KEY[key]
    assert (None if shown == "none" else yaml.safe_load(shown)) == (
        list(default) if isinstance(default, tuple) else default
    )


AUGMENTED = SOUND.replace(
    "pretraining: {}",
    """\
  more:
    data: digits
    task: augmentation
    labels: 10
    model: {family: gan, name: cgan}
pretraining: {}""",
)


def test_baselines_of_augmentation_learn_from_as_many_labels(tmp_path):
    beside = "  few: {data: digits, task: augmentation, labels: 10, seeds: [0, 1]}\ntraining:"
    made = check(tmp_path, AUGMENTED.replace("training:", beside, 1))
    assert (made.baselines["few"].labels, made.baselines["few"].seeds) == (10, (0, 1))
    assert made.experiments["more"].labels == 10
    told = complaint(tmp_path, AUGMENTED.replace("training:", beside.replace("10", "20"), 1))
    assert "no baseline is declared for augmentation on digits with labels: 10;" in told
    assert told.endswith("'digits: {data: digits, task: augmentation, labels: 10}'")
    told = complaint(tmp_path, AUGMENTED.replace("cgan", "gan").replace("training:", beside, 1))
    assert "gan is not told the class" in told
    told = complaint(tmp_path, AUGMENTED.replace("labels: 10", "labels: 1.5").replace("training:", beside, 1))
    assert "labels: is 1.5; it should be a share above 0, up to 1, or a whole number from 2" in told
