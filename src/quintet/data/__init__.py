"""The data sets that can be named in params.yaml, and the formats of the user's own data.

These tables are free of torch, numpy and PIL: they say what an entry may contain and what its
examples will look like, so that a model that does not fit is refused before anything is read.
`quintet.data.prepare` turns an entry into arrays; `quintet.data.spec` reads them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet.data.listing import check_csv, check_folder, class_folders
from quintet.data.options import (
    Cifar10Options,
    ConllOptions,
    DigitsOptions,
    DigitsOutlinesOptions,
    FashionMnistOptions,
    GeneratedEntitiesOptions,
    GeneratedSentimentOptions,
    GeneratedStoriesOptions,
    HuggingFaceOptions,
    ImageCsvOptions,
    ImageFolderOptions,
    NamedOptions,
    NcbiDiseaseOptions,
    OfficialOptions,
    OfficialTextOptions,
    Options,
    OwnImageOptions,
    OwnOptions,
    OwnTextOptions,
    PhotographsOptions,
    PydocProseOptions,
    PydocTopicsOptions,
    SquadJsonOptions,
    SquadOptions,
    Sst2Options,
    TextCsvOptions,
    TextFilesOptions,
    TextOptions,
    WikiText2Options,
)
from quintet.data.places import mirror
from quintet.data.text.own_files import check_texts
from quintet.errors import UserError, unknown


@dataclass(frozen=True)
class Dataset:
    """A public data set. Its module has `read(options, name, scratch) -> Examples`, or
    `read(options, name) -> TextExamples`; the shape of texts comes with the entry."""

    module: str
    kind: str
    target: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    title: str
    licence: str
    source: str
    embedded: bool
    options: type[NamedOptions]


@dataclass(frozen=True)
class OwnFormat:
    """A format of the user's own data; shape and classes come with the entry. Its module has `read`, as above."""

    module: str
    kind: str
    target: str
    title: str
    options: type[OwnOptions]


@dataclass(frozen=True)
class Outline:
    """What is known of an entry's examples before they are prepared.

    `classes` is empty where only the data can tell (a CSV, or a folder that is missing).
    """

    kind: str
    target: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    title: str


DATASETS: dict[str, Dataset] = {
    "digits": Dataset(
        module="quintet.data.digits",
        kind="image",
        target="class",
        shape=(1, 8, 8),
        classes=tuple("0123456789"),
        title="Handwritten digits (scikit-learn)",
        licence="CC BY 4.0",
        source="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (its test part); "
        "shipped with scikit-learn",
        embedded=True,
        options=DigitsOptions,
    ),
    "digits-outlines": Dataset(
        module="quintet.data.digits_outlines",
        kind="image",
        target="class",
        shape=(1, 16, 16),
        classes=("digit", "outline"),
        title="Handwritten digits and outlines of others (scikit-learn)",
        licence="CC BY 4.0",
        source="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (its test part); "
        "shipped with scikit-learn",
        embedded=True,
        options=DigitsOutlinesOptions,
    ),
    "photographs": Dataset(
        module="quintet.data.photographs",
        kind="image",
        target="class",
        shape=(3, 32, 32),
        classes=("china", "flower"),
        title="Tiles of two photographs (scikit-learn)",
        licence="CC BY 2.0",
        source="Photographs by danielbuechele and vultilion on Flickr; shipped with scikit-learn",
        embedded=True,
        options=PhotographsOptions,
    ),
    "fashion-mnist": Dataset(
        module="quintet.data.fashion_mnist",
        kind="image",
        target="class",
        shape=(1, 28, 28),
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        title="Fashion-MNIST",
        licence="MIT",
        source="Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv:1708.07747",
        embedded=False,
        options=FashionMnistOptions,
    ),
    "cifar10": Dataset(
        module="quintet.data.cifar10",
        kind="image",
        target="class",
        shape=(3, 32, 32),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        title="CIFAR-10",
        licence="none stated; its authors ask for citation",
        source="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        embedded=False,
        options=Cifar10Options,
    ),
    "sst2": Dataset(
        module="quintet.data.text.sst2",
        kind="text",
        target="class",
        shape=(),
        classes=("negative", "positive"),
        title="SST-2 (sentences)",
        licence="none stated; research use",
        source="Socher et al., Recursive Deep Models for Semantic Compositionality, EMNLP 2013",
        embedded=False,
        options=Sst2Options,
    ),
    "ncbi-disease": Dataset(
        module="quintet.data.text.ncbi_disease",
        kind="text",
        target="tags",
        shape=(),
        classes=("O", "B-Disease", "I-Disease"),
        title="NCBI-disease",
        licence="CC BY 4.0",
        source="Doğan, Leaman and Lu, NCBI disease corpus, J. Biomed. Inform. 47, 2014",
        embedded=False,
        options=NcbiDiseaseOptions,
    ),
    "generated-sentiment": Dataset(
        module="quintet.data.text.generated_sentiment",
        kind="text",
        target="class",
        shape=(),
        classes=("negative", "positive"),
        title="Generated sentiment with negation and contrast",
        licence="as Quintet",
        source="generated by quintet.data.text.generated_sentiment",
        embedded=True,
        options=GeneratedSentimentOptions,
    ),
    "generated-entities": Dataset(
        module="quintet.data.text.generated_entities",
        kind="text",
        target="tags",
        shape=(),
        classes=("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"),
        title="Generated entities in sentences",
        licence="as Quintet",
        source="generated by quintet.data.text.generated_entities",
        embedded=True,
        options=GeneratedEntitiesOptions,
    ),
    "generated-stories": Dataset(
        module="quintet.data.text.generated_stories",
        kind="text",
        target="span",
        shape=(),
        classes=(),
        title="Generated stories with questions",
        licence="as Quintet",
        source="generated by quintet.data.text.generated_stories, after Weston et al., Towards AI-Complete Question "
        "Answering, arXiv:1502.05698",
        embedded=True,
        options=GeneratedStoriesOptions,
    ),
    "squad": Dataset(
        module="quintet.data.text.squad",
        kind="text",
        target="span",
        shape=(),
        classes=(),
        title="SQuAD 1.1",
        licence="CC BY-SA 4.0",
        source="Rajpurkar et al., SQuAD: 100,000+ Questions for Machine Comprehension of Text, EMNLP 2016",
        embedded=False,
        options=SquadOptions,
    ),
    "pydoc-topics": Dataset(
        module="quintet.data.text.pydoc",
        kind="text",
        target="class",
        shape=(),
        classes=(
            "data model",
            "debugger",
            "execution",
            "expressions",
            "library types",
            "statements",
            "strings",
        ),
        title="Sentences of Python's documentation by topic",
        licence="PSF License",
        source="Python's documentation, shipped with Python as pydoc_data.topics",
        embedded=True,
        options=PydocTopicsOptions,
    ),
    "pydoc-prose": Dataset(
        module="quintet.data.text.pydoc",
        kind="text",
        target="next",
        shape=(),
        classes=("random", "next"),
        title="Prose of Python's documentation",
        licence="PSF License",
        source="Python's documentation, shipped with Python as pydoc_data.topics",
        embedded=True,
        options=PydocProseOptions,
    ),
    "wikitext-2": Dataset(
        module="quintet.data.text.wikitext2",
        kind="text",
        target="next",
        shape=(),
        classes=("random", "next"),
        title="WikiText-2",
        licence="CC BY-SA",
        source="Merity et al., Pointer Sentinel Mixture Models, ICLR 2017",
        embedded=False,
        options=WikiText2Options,
    ),
    "huggingface": Dataset(
        module="quintet.data.text.hugging_face",
        kind="text",
        target="by entry",
        shape=(),
        classes=(),
        title="any set of the Hugging Face Hub",
        licence="as stated there",
        source="Hugging Face datasets",
        embedded=False,
        options=HuggingFaceOptions,
    ),
}

OWN_FORMATS: dict[str, OwnFormat] = {
    "image-folder": OwnFormat(
        module="quintet.data.image_folder",
        kind="image",
        target="class",
        title="own images, one folder per class",
        options=ImageFolderOptions,
    ),
    "image-csv": OwnFormat(
        module="quintet.data.image_folder",
        kind="image",
        target="class",
        title="own images, classes in a CSV",
        options=ImageCsvOptions,
    ),
    "text-csv": OwnFormat(
        module="quintet.data.text.own",
        kind="text",
        target="class",
        title="own texts and labels in CSV, TSV or Parquet",
        options=TextCsvOptions,
    ),
    "conll": OwnFormat(
        module="quintet.data.text.own",
        kind="text",
        target="tags",
        title="own sentences, a word and its IOB2 tag a line",
        options=ConllOptions,
    ),
    "squad-json": OwnFormat(
        module="quintet.data.text.own",
        kind="text",
        target="span",
        title="own questions, contexts and answers as in SQuAD 1.1",
        options=SquadJsonOptions,
    ),
    "text-files": OwnFormat(
        module="quintet.data.text.own",
        kind="text",
        target="next",
        title="own prose in plain text, for pre-training",
        options=TextFilesOptions,
    ),
}


def named_options(where: str, entry: Mapping[str, Any]) -> type[NamedOptions]:
    """The model that an entry of `data:` must satisfy, by its `set`; raises UserError if there is none."""
    return DATASETS[_choice(where, entry, "set", "data set", DATASETS)].options


def own_options(where: str, entry: Mapping[str, Any]) -> type[OwnOptions]:
    """The model that an entry of `own_data:` must satisfy, by its `format`; raises UserError if there is none."""
    return OWN_FORMATS[_choice(where, entry, "format", "format", OWN_FORMATS)].options


def _choice(where: str, entry: Mapping[str, Any], key: str, noun: str, table: Mapping[str, Any]) -> str:
    if key not in entry:
        raise UserError(where, f"has no '{key}'", f"it takes: {', '.join(sorted(table))}")
    value = entry[key]
    if not isinstance(value, str) or value not in table:
        raise unknown(f"{where}.{key}", noun, str(value), table)
    return value


def module_of(options: Options) -> str:
    """The path of the module that reads such an entry."""
    if isinstance(options, NamedOptions):
        return DATASETS[options.set].module
    assert isinstance(options, OwnOptions), options
    return OWN_FORMATS[options.format].module


def outline(options: Options) -> Outline:
    """What a checked entry's examples will look like: enough to tell whether a model fits."""
    if isinstance(options, NamedOptions):
        known = DATASETS[options.set]
        shape = text_shape(options) if isinstance(options, TextOptions) else known.shape
        if isinstance(options, HuggingFaceOptions):
            return Outline(known.kind, options.target, shape, (), options.dataset)
        return Outline(known.kind, known.target, shape, known.classes, known.title)
    assert isinstance(options, OwnOptions), options
    own = OWN_FORMATS[options.format]
    if isinstance(options, TextOptions):
        return Outline(own.kind, own.target, text_shape(options), (), own.title)
    assert isinstance(options, OwnImageOptions), options
    root = Path(options.path)
    listed = class_folders(root) if options.format == "image-folder" and root.is_dir() else []
    return Outline(own.kind, own.target, (options.channels, *options.image_size), tuple(listed), own.title)


def text_shape(options: TextOptions) -> tuple[int, int, int, int]:
    """What `DataSpec.shape` says of texts; the size of the vocabulary is a bound until it is made."""
    return options.length, options.vocabulary, 0, 3


def check_source(where: str, options: Options) -> None:
    """Raise UserError if the entry names a folder that is not there or cannot be what it should be.

    Looks at names only, so it takes milliseconds; pictures are opened by `prepare`. Relative paths
    are relative to the working directory, which is the project's root in every stage.
    """
    if isinstance(options, ImageCsvOptions):
        check_csv(where, Path(options.path), options.labels)
    elif isinstance(options, OwnTextOptions):
        columns = (options.text, options.label) if isinstance(options, TextCsvOptions) else ()
        check_texts(where, Path(options.path), options.format, columns)
    elif isinstance(options, OwnOptions):
        check_folder(where, Path(options.path))
    elif isinstance(options, OfficialOptions | OfficialTextOptions) and options.path is None:
        mirror()
    elif isinstance(options, OfficialOptions | OfficialTextOptions) and not Path(options.path or "").is_dir():
        raise UserError(f"{where}.path", f"no such folder: {options.path}", "give the folder with the set's files")
