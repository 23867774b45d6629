"""What every encoder of the catalogue promises, one row of `CASES` each; `test_generative.py` has the others."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from quintet.models import FAMILIES, member
from quintet.models.build import build_encoder
from quintet.models.heads import Classifier, PreTraining, SpanPicker, Tagger

DIGITS, FASHION, CIFAR, TINY_IMAGENET = (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)
OBLONG, IMAGENET = (3, 24, 40), (3, 224, 224)
TEXT = (16, 40, 0, 2)  # longest, vocabulary, [PAD], [SEP]
SHAPES = {
    "image": (DIGITS, FASHION, CIFAR, TINY_IMAGENET, OBLONG, IMAGENET),
    "text": (TEXT, (5, 500, 9, 3), (300, 10, 0, 1)),
}
SMALL = {"image": DIGITS, "text": TEXT}


@dataclass(frozen=True)
class Case:
    """`tiny` settings for quick tests, and parameters of the `full` networks: (settings, shape, classes, count)."""

    tiny: dict[str, Any]
    full: list[tuple[dict[str, Any], tuple[int, ...], int, int]]
    more: list[dict[str, Any]] = field(default_factory=list)

    @property
    def settings(self) -> list[dict[str, Any]]:
        return [self.tiny, *({**self.tiny, **more} for more in self.more)]


VIT_L = {"embed_dim": 1024, "num_layers": 24, "num_heads": 16}
CASES = {
    # The paper's 60,000, 900 more in C3 and 44 fewer in S2 and S4, and 850 in the head.
    "lenet": Case({}, [({}, (1, 32, 32), 10, 61_706)], [{"activation": "relu", "pooling": "max"}]),
    # torchvision.models, `weights=None`, and its documentation.
    "alexnet": Case({"width": 4, "hidden_size": 32, "dropout": 0.0}, [({}, IMAGENET, 1000, 61_100_840)]),
    "vgg": Case(
        {"depth": 11, "width": 4, "hidden_size": 32, "dropout": 0.0},
        [
            ({"depth": 11}, IMAGENET, 1000, 132_863_336),
            ({"depth": 13}, IMAGENET, 1000, 133_047_848),
            ({"depth": 16}, IMAGENET, 1000, 138_357_544),
            ({"depth": 19}, IMAGENET, 1000, 143_667_240),
            ({"depth": 16, "batch_norm": True}, IMAGENET, 1000, 138_365_992),
        ],
        [{"batch_norm": True}],
    ),
    "resnet": Case(
        {"width": 8},
        [
            ({"depth": 18}, IMAGENET, 1000, 11_689_512),
            ({"depth": 34}, IMAGENET, 1000, 21_797_672),
            ({"depth": 50}, IMAGENET, 1000, 25_557_032),
        ],
        [{"depth": 50}],
    ),
    # Paper, table 6, in millions: 0.27, 0.46, 0.66, 0.85, 1.7.
    "resnet-cifar": Case(
        {"depth": 8, "width": 8},
        [
            ({"depth": 20}, CIFAR, 10, 269_722),
            ({"depth": 32}, CIFAR, 10, 464_154),
            ({"depth": 44}, CIFAR, 10, 658_586),
            ({"depth": 56}, CIFAR, 10, 853_018),
            ({"depth": 110}, CIFAR, 10, 1_727_962),
        ],
    ),
    # torchvision.models.vit_b_16, vit_b_32 and vit_l_16.
    "vit": Case(
        {"patch_size": 4, "embed_dim": 16, "num_layers": 2, "num_heads": 2, "dropout": 0.0},
        [
            ({}, IMAGENET, 1000, 86_567_656),
            ({"patch_size": 32}, IMAGENET, 1000, 88_224_232),
            (VIT_L, IMAGENET, 1000, 304_326_632),
        ],
        [{"pooling": "mean"}],
    ),
    # 16,185 words (table 1, SST-2) of 300 features, 100 maps of 3, 4 and 5 words with biases, and 602 in the head.
    "textcnn": Case(
        {"embed_dim": 32, "num_maps": 32, "dropout": 0.0},
        [({}, (53, 16_185, 0, 2), 2, 5_216_402)],
        [{"widths": (2,)}],
    ),
    # torch.nn.TransformerEncoder of six layers 18,914,304, 37,000 tokens (sec. 5.1) of 512 features, 1,026 in the head.
    "encoder": Case(
        {"embed_dim": 16, "num_layers": 2, "num_heads": 2, "dropout": 0.0},
        [({}, (512, 37_000, 0, 2), 2, 37_859_330)],
        [{"norm": "pre", "positions": "learned", "pooling": "cls"}],
    ),
    # transformers.BertForSequenceClassification of bert-base-uncased and bert-large-uncased.
    "bert": Case(
        # With fewer features the paper's small weights let next to nothing through to [CLS] at first.
        {"embed_dim": 64, "num_layers": 2, "num_heads": 2, "dropout": 0.0, "attention_dropout": 0.0},
        [
            ({}, (512, 30_522, 0, 102), 2, 109_483_778),
            ({"embed_dim": 1024, "num_layers": 24, "num_heads": 16}, (512, 30_522, 0, 102), 2, 335_143_938),
        ],
    ),
    # gates x (28 x 128 + 128 x 128 + 2 x 128) and 1,290 in the head.
    "rnn": Case({"hidden_size": 32}, [({}, FASHION, 10, 21_514)], [{"activation": "relu"}]),
    "lstm": Case({"hidden_size": 32}, [({}, FASHION, 10, 82_186)], [{"bidirectional": True, "num_layers": 2}]),
    "gru": Case({"hidden_size": 32}, [({}, FASHION, 10, 61_962)], [{"pooling": "mean"}]),
}
MEMBERS = {
    name: family
    for family, members in FAMILIES.items()
    for name, entry in members.items()
    if entry.contract == "encoder"
}
VARIANTS = [
    pytest.param(name, kind, settings, id="-".join([name, kind, *map(str, settings.values())]))
    for name, case in CASES.items()
    for kind in member(MEMBERS[name], name).inputs
    if kind in SMALL
    for settings in case.settings
]
READERS = [pytest.param(v.values[0], v.values[2], id=v.id) for v in VARIANTS if v.values[1] == "text"]


def classifier(name: str, shape: tuple[int, ...], settings: dict[str, Any], num_classes: int = 10) -> Classifier:
    kind = "text" if len(shape) == 4 else "image"
    return Classifier(build_encoder(MEMBERS[name], name, kind, shape, settings), num_classes)


def examples(count: int, shape: tuple[int, ...]) -> Tensor:
    """Noise; of texts, every other a pair, none but the first as long as can be."""
    if len(shape) != 4:
        return torch.randn(count, *shape)
    time, vocabulary, pad, separator = shape
    words = [w for w in range(vocabulary) if w not in (pad, separator)]
    tokens = torch.full((count, time), pad)
    for i in range(count):
        length = time if i == 0 else int(torch.randint(4, time + 1, ()))
        tokens[i, :length] = torch.tensor(words)[torch.randint(len(words), (length,))]
        tokens[i, length - 1] = separator
        if i % 2:
            tokens[i, length // 2] = separator
    return tokens


def with_a_working_head(model: Classifier) -> Classifier:
    """The head starts at zero, which would hide what the encoder does."""
    nn.init.normal_(model.head.weight)
    return model


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_every_member_has_a_case_and_every_case_a_member() -> None:
    assert set(CASES) == set(MEMBERS)
    assert all(case.full for case in CASES.values())


@pytest.mark.parametrize(
    ("name", "settings", "shape", "num_classes", "count"),
    [pytest.param(n, *full, id=f"{n}-{full[-1]}") for n, case in CASES.items() for full in case.full],
)
def test_has_the_published_number_of_parameters(
    name: str, settings: dict[str, Any], shape: tuple[int, ...], num_classes: int, count: int
) -> None:
    with torch.device("meta"):
        model = classifier(name, shape, settings, num_classes)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        pytest.param(v.values[0], v.values[2], shape, id=f"{v.id}-{shape}")
        for v in VARIANTS
        for shape in SHAPES[v.values[1]]
    ],
)
def test_sizes_itself_to_the_data(name: str, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    model = classifier(name, shape, settings, num_classes=7).eval()
    complete = member(MEMBERS[name], name).settings(settings)
    assert member(MEMBERS[name], name).fits(complete, shape) is None
    with torch.no_grad():
        inputs = examples(2, shape)
        pooled, positions = model.encoder(inputs)
        assert pooled.shape == (2, model.encoder.pooled_dim)
        assert positions.shape[0] == 2
        assert positions.shape[2] == model.encoder.position_dim
        assert model(inputs).shape == (2, 7)
    assert torch.isfinite(pooled).all()
    assert pooled.std(dim=0).max() > 1e-3, "the two are told apart before any training"


@pytest.mark.parametrize(("name", "kind", "settings"), VARIANTS)
def test_gradients_reach_every_parameter(name: str, kind: str, settings: dict[str, Any]) -> None:
    model = with_a_working_head(classifier(name, SMALL[kind], settings))
    model(examples(8, SMALL[kind])).square().sum().backward()
    assert not [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize(("name", "kind", "settings"), VARIANTS)
def test_one_example_does_not_depend_on_the_others(name: str, kind: str, settings: dict[str, Any]) -> None:
    model = with_a_working_head(classifier(name, SMALL[kind], settings)).eval()
    batch, others = examples(4, SMALL[kind]), examples(4, SMALL[kind])
    if kind == "image":
        others *= 5
    others[0] = batch[0]
    with torch.no_grad():
        alone = model(batch[:1])
        torch.testing.assert_close(model(batch)[:1], alone, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model(others)[:1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "kind", "settings"), VARIANTS)
def test_saved_weights_give_the_same_output(name: str, kind: str, settings: dict[str, Any], tmp_path: Any) -> None:
    inputs = examples(4, SMALL[kind])
    saved = with_a_working_head(classifier(name, SMALL[kind], settings))
    saved(inputs)  # moves batch normalisation's averages
    save_file(saved.state_dict(), tmp_path / "weights.safetensors")
    loaded = classifier(name, SMALL[kind], settings)
    loaded.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(loaded.eval()(inputs), saved.eval()(inputs))


@pytest.mark.parametrize(("name", "kind", "settings"), VARIANTS)
def test_overfits_one_batch(name: str, kind: str, settings: dict[str, Any]) -> None:
    inputs, labels = examples(8, SMALL[kind]), torch.arange(8)
    model = classifier(name, SMALL[kind], settings)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(100):
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if losses[-1] < 0.1:
            break
    assert losses[0] == pytest.approx(torch.log(torch.tensor(10.0)).item()), "the head starts at zero"
    assert losses[-1] < 0.1


HEADS = {
    "classifier": lambda encoder: Classifier(encoder, 5),
    "tagger": lambda encoder: Tagger(encoder, 5),
    "span": SpanPicker,
    "pre-training": PreTraining,
}


class Overhead(nn.Module):
    """A head over a reader of texts, whose outputs are named, and labels that any of them can learn by heart."""

    def __init__(self, head: str, name: str, settings: dict[str, Any]) -> None:
        super().__init__()
        self.head = head
        self.model = HEADS[head](build_encoder(MEMBERS[name], name, "text", TEXT, settings))

    def hidden(self, tokens: Tensor) -> Tensor:
        """Two places of each text, after which readers from the left tell the texts apart."""
        return torch.zeros_like(tokens, dtype=torch.bool).index_fill(1, torch.tensor([2, 3]), True)

    def forward(self, tokens: Tensor) -> list[Tensor]:
        if self.head == "pre-training":
            return list(self.model(tokens, self.hidden(tokens)))
        out = self.model(tokens)
        return list(out) if isinstance(out, tuple) else [out]

    def labels(self, tokens: Tensor) -> list[Tensor]:
        if self.head == "classifier":
            return [torch.arange(len(tokens)) % 5]
        if self.head == "tagger":
            return [tokens % 5]
        if self.head == "span":
            return [torch.arange(len(tokens)) % 3, torch.arange(len(tokens)) % 3 + 1]
        return [tokens[:, 0:2].flatten(), torch.arange(len(tokens)) % 2]


def with_working_heads(model: Overhead) -> Overhead:
    for name, part in model.model.named_children():
        if name in ("head", "next_sentence"):
            nn.init.normal_(part.weight)
    return model


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("name", "settings"), READERS)
def test_padding_changes_nothing_for_real_tokens(name: str, settings: dict[str, Any], head: str) -> None:
    model = with_working_heads(Overhead(head, name, settings)).eval()
    tokens = examples(6, TEXT)[:, :12].contiguous()
    tokens[:, 11] = 0
    padded = nn.functional.pad(tokens, (0, 4))
    with torch.no_grad():
        for narrow, wide in zip(model(tokens), model(padded), strict=True):
            if narrow.shape != wide.shape:
                assert (wide[:, 12:] == -torch.inf).all() or head == "tagger"
                narrow, wide = narrow[tokens != 0], wide[:, :12][tokens != 0]
            torch.testing.assert_close(wide, narrow, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("name", "settings"), READERS)
def test_every_head_learns_over_every_reader(name: str, settings: dict[str, Any], head: str) -> None:
    model = Overhead(head, name, settings)
    tokens = examples(8, TEXT)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(100):
        losses = []
        for logits, labels in zip(model(tokens), model.labels(tokens), strict=True):
            if head == "tagger":
                logits, labels = logits[tokens != 0], labels[tokens != 0]
            losses.append(nn.functional.cross_entropy(logits, labels))
        optimiser.zero_grad()
        sum(losses).backward()
        if step == 1:  # at the first step the heads are still zero and pass nothing back
            lacking = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        optimiser.step()
        if max(losses) < 0.1:
            break
    assert max(losses) < 0.1
    unused = {"classifier": (), "tagger": ("pooler",), "span": ("pooler",), "pre-training": ()}[head]
    assert not [k for k in lacking if not any(part in k for part in unused)]


@pytest.mark.parametrize(("name", "settings"), READERS)
def test_token_vectors_shared_with_a_head_are_saved_once(name: str, settings: dict[str, Any], tmp_path: Any) -> None:
    tokens = examples(4, TEXT)
    saved = with_working_heads(Overhead("pre-training", name, settings)).eval()
    save_file(saved.state_dict(), tmp_path / "weights.safetensors")
    loaded = Overhead("pre-training", name, settings).eval()
    loaded.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(loaded(tokens), saved(tokens), strict=True))


def test_shapes_in_signatures_are_checked() -> None:
    with pytest.raises(Exception, match="Type-check error"):
        classifier("lenet", DIGITS, {}).encoder(torch.randn(2, 8, 8))
