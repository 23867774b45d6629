"""What an entry of `data:` or `own_data:` in params.yaml may say; free of torch, numpy and PIL."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval, Lt, MinLen
from pydantic import BaseModel, BeforeValidator, ConfigDict

# Below a half, so that train keeps something of each class whatever the two fractions are.
Fraction = Annotated[float, Gt(0), Lt(0.5)]
Seed = Annotated[int, Ge(0)]
# An empty path would mean the working directory.
Text = Annotated[str, MinLen(1)]
Side = Annotated[int, Interval(ge=1, le=4096)]


def _as_tuple(value: Any) -> Any:
    # YAML has lists only, and strict validation takes a tuple for a tuple.
    return tuple(value) if isinstance(value, list) else value


class Options(BaseModel):
    """What all data sets share: the fraction of each class that becomes validation, and the seed of the split."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    validation: Fraction
    split_seed: Seed = 0


class NamedOptions(Options):
    """A set of the table. `subset` keeps that fraction of each class in every split, for quick runs."""

    set: str
    subset: Annotated[float, Gt(0), Lt(1)] | None = None


class DigitsOptions(NamedOptions):
    """scikit-learn's digits have no official test split: `test` is the fraction of each class to hold out."""

    set: Literal["digits"]
    validation: Fraction = 0.15
    test: Fraction = 0.2


class OfficialOptions(NamedOptions):
    """A set whose test split is official. `path` is a folder to read instead of the mirror or a download."""

    validation: Fraction = 0.1
    path: Text | None = None


class FashionMnistOptions(OfficialOptions):
    set: Literal["fashion-mnist"]


class Cifar10Options(OfficialOptions):
    set: Literal["cifar10"]


class OwnOptions(Options):
    """The user's own images below `path`. `image_size` is [height, width]; `channels` 1 is grey, 3 is colour."""

    format: str
    path: Text
    image_size: Annotated[tuple[Side, Side], BeforeValidator(_as_tuple)]
    channels: Literal[1, 3] = 3
    validation: Fraction = 0.15
    test: Fraction = 0.15
    on_bad: Literal["refuse", "set-aside"] = "refuse"


class ImageFolderOptions(OwnOptions):
    """One folder per class."""

    format: Literal["image-folder"]


class ImageCsvOptions(OwnOptions):
    """A CSV in the folder, with the columns file and label, names the images."""

    format: Literal["image-csv"]
    labels: Text = "labels.csv"
