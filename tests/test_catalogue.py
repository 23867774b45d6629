"""The catalogue's text names everything there is, with settings as `quintet check` takes them."""

from __future__ import annotations

import pytest

from quintet.catalogue import listing
from quintet.data import DATASETS, OWN_FORMATS
from quintet.errors import UserError
from quintet.models import FAMILIES
from quintet.models.signature import settings_of
from quintet.tasks import TASKS

MEMBERS = [(family, name) for family, members in FAMILIES.items() for name in members]


def test_the_listing_names_every_model_data_set_format_and_task():
    words = {tuple(line.split()[:2]) for line in listing().splitlines()}
    firsts = {line.split()[0] for line in listing().splitlines() if line.startswith("  ")}
    assert set(MEMBERS) <= words
    assert {*DATASETS, *OWN_FORMATS, *TASKS} <= firsts


@pytest.mark.parametrize(("family", "name"), MEMBERS)
def test_a_member_shows_every_setting_with_its_default(family, name):
    shown = listing(name)
    assert f"model: {{family: {family}, name: {name}}}" in shown
    for key, field in settings_of(FAMILIES[family][name].path).model_fields.items():
        line = next(line for line in shown.splitlines() if line.split()[:1] == [key])
        assert line.endswith(repr(field.default))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_shows_each_of_its_members(family):
    shown = listing(family)
    assert [entry.splitlines()[0].rpartition("name: ")[2] for entry in shown.split("\n\n")] == [
        f"{name}}}" for name in FAMILIES[family]
    ]


def test_types_and_bounds_are_written_as_one_reads_them():
    lines = [line.split() for line in listing("vit").splitlines()]
    assert ["patch_size", "int", ">", "0", "16"] in lines
    assert ["dropout", "float", "≥", "0", "<", "1", "0.1"] in lines
    assert ["pooling", "'token'", "or", "'mean'", "'token'"] in lines


def test_a_misspelt_name_is_told_with_the_nearest():
    with pytest.raises(UserError, match="catalogue: unknown family or model 'resnett'; did you mean 'resnet'"):
        listing("resnett")
