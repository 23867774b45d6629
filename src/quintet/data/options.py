"""What an entry of `data:` or `own_data:` in params.yaml may say; free of torch, numpy and PIL."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval, Lt, MinLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# Below a half, so that train keeps something of each class whatever the two fractions are.
Fraction = Annotated[float, Gt(0), Lt(0.5)]
Seed = Annotated[int, Ge(0)]
# An empty path would mean the working directory.
Text = Annotated[str, MinLen(1)]
Side = Annotated[int, Interval(ge=1, le=4096)]
# In tokens; shorter than 16 leaves no room for a question and its answer.
Length = Annotated[int, Interval(ge=16, le=4096)]
# The special tokens and an alphabet have to fit in, which for BPE is all 256 bytes.
Vocabulary = Annotated[int, Interval(ge=300, le=500_000)]


def _as_tuple(value: Any) -> Any:
    # YAML has lists only, and strict validation takes a tuple for a tuple.
    return tuple(value) if isinstance(value, list) else value


class Options(BaseModel):
    """What all data sets share: the seed of the split, or of the examples where they are generated."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    split_seed: Seed = 0


class NamedOptions(Options):
    """A set of the table. `subset` keeps that fraction of each class in every split, for quick runs."""

    set: str
    subset: Annotated[float, Gt(0), Lt(1)] | None = None


class EmbeddedOptions(NamedOptions):
    """What scikit-learn ships has no official test split: `test` is the fraction of each class to hold out."""

    validation: Fraction = 0.15
    test: Fraction = 0.2


class DigitsOptions(EmbeddedOptions):
    set: Literal["digits"]


class DigitsOutlinesOptions(EmbeddedOptions):
    set: Literal["digits-outlines"]


class PhotographsOptions(EmbeddedOptions):
    set: Literal["photographs"]


class OfficialOptions(NamedOptions):
    """A set whose test split is official. `path` is a folder to read instead of the mirror or a download."""

    validation: Fraction = 0.1
    path: Text | None = None


class FashionMnistOptions(OfficialOptions):
    set: Literal["fashion-mnist"]


class Cifar10Options(OfficialOptions):
    set: Literal["cifar10"]


class TextOptions(Options):
    """What all texts share: the longest sequence in tokens, special ones included, and how the vocabulary is made."""

    length: Length = 128
    vocabulary: Vocabulary = 8000
    tokenizer: Literal["wordpiece", "bpe"] = "wordpiece"
    lower: bool = True


class OfficialTextOptions(NamedOptions, TextOptions):
    """Texts whose three splits are official. `path` is a folder to read instead of the mirror."""

    path: Text | None = None


class Sst2Options(OfficialTextOptions):
    set: Literal["sst2"]
    length: Length = 64


class NcbiDiseaseOptions(OfficialTextOptions):
    set: Literal["ncbi-disease"]
    lower: bool = False


class SquadOptions(OfficialTextOptions):
    set: Literal["squad"]
    length: Length = 256


# The sets whose training texts a pre-training set may take along.
TextSet = Literal[
    "generated-entities",
    "generated-sentiment",
    "generated-stories",
    "ncbi-disease",
    "pydoc-prose",
    "pydoc-topics",
    "squad",
    "sst2",
    "wikitext-2",
]


class CorpusOptions(NamedOptions, TextOptions):
    """Prose for pre-training.

    `also` adds the training texts of other sets, read with their default settings, and says how many times each is
    added: a task's few texts are seen more often so (task-adaptive pre-training, Gururangan et al. 2020, sec. 4).
    """

    also: dict[TextSet, Annotated[int, Field(ge=1)]] = {}


class WikiText2Options(CorpusOptions, OfficialTextOptions):
    set: Literal["wikitext-2"]


class PydocOptions(NamedOptions, TextOptions):
    """Python's own documentation, which has no official splits."""

    length: Length = 64
    vocabulary: Vocabulary = 3000
    validation: Fraction = 0.1
    test: Fraction = 0.25


class PydocTopicsOptions(PydocOptions):
    set: Literal["pydoc-topics"]


class PydocProseOptions(PydocOptions, CorpusOptions):
    set: Literal["pydoc-prose"]


class HuggingFaceOptions(NamedOptions, TextOptions):
    """A set of the Hugging Face Hub, or a local folder in its format, read by `datasets`.

    `text` and `label` name the columns: of a text and its class; of words and their tags; of documents. For `span`
    the columns are SQuAD's. `splits` are the names, there, of train, validation and test; those without one are
    cut from train.
    """

    set: Literal["huggingface"]
    dataset: Text
    config: Text | None = None
    target: Literal["class", "tags", "span", "next"]
    text: Text = "text"
    label: Text = "label"
    splits: dict[Literal["train", "validation", "test"], Text] = Field({"train": "train", "test": "test"}, min_length=1)
    validation: Fraction = 0.1
    test: Fraction = 0.15


class GeneratedOptions(NamedOptions, TextOptions):
    """Examples that a procedure makes: `split_seed` seeds it, and the three splits come from it."""

    length: Length = 32
    vocabulary: Vocabulary = 1000


class GeneratedSentimentOptions(GeneratedOptions):
    set: Literal["generated-sentiment"]
    length: Length = 64


class GeneratedEntitiesOptions(GeneratedOptions):
    set: Literal["generated-entities"]
    lower: bool = False


class GeneratedStoriesOptions(GeneratedOptions):
    set: Literal["generated-stories"]
    length: Length = 48


class OwnOptions(Options):
    """The user's own data at `path`."""

    format: str
    path: Text
    validation: Fraction = 0.15
    test: Fraction = 0.15
    on_bad: Literal["refuse", "set-aside"] = "refuse"


class OwnImageOptions(OwnOptions):
    """Images below the folder `path`. `image_size` is [height, width]; `channels` 1 is grey, 3 is colour."""

    image_size: Annotated[tuple[Side, Side], BeforeValidator(_as_tuple)]
    channels: Literal[1, 3] = 3


class ImageFolderOptions(OwnImageOptions):
    """One folder per class."""

    format: Literal["image-folder"]


class ImageCsvOptions(OwnImageOptions):
    """A CSV in the folder, with the columns file and label, names the images."""

    format: Literal["image-csv"]
    labels: Text = "labels.csv"


class OwnTextOptions(OwnOptions, TextOptions):
    """Texts in the file `path`, or in files called train, validation and test in the folder `path`."""


class TextCsvOptions(OwnTextOptions):
    """CSV, TSV or Parquet with a column of texts and one of labels."""

    format: Literal["text-csv"]
    text: Text = "text"
    label: Text = "label"


class ConllOptions(OwnTextOptions):
    """A word and its tag a line, in columns; counted from 0, or from the end with -1."""

    format: Literal["conll"]
    lower: bool = False
    word_column: int = 0
    tag_column: int = -1


class SquadJsonOptions(OwnTextOptions):
    """Questions with their contexts and answers, as SQuAD 1.1 has them."""

    format: Literal["squad-json"]
    length: Length = 256


class TextFilesOptions(OwnTextOptions):
    """Prose for pre-training: every .txt file in the folder, or one file; a blank line ends a paragraph."""

    format: Literal["text-files"]
    documents: Literal["paragraphs", "files"] = "paragraphs"
