"""An entry of the catalogue; free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from quintet.models.signature import settings_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Member:
    """One architecture of the catalogue.

    `title` names the architecture ('ResNet'), `variant` a network of it in terms of its settings
    ('ResNet-{depth}'). `inputs` are the kinds of data its encoder reads, the native one first: 'image'
    [channel height width], 'series' [time feature], 'text' [token] (`layers.words` tells its shape).
    `fits` says, for complete settings and the shape of one example, why the two do not go together and
    what would, or None. `contract` says what it is: an 'encoder' (`layers.encoded`), a 'generator' of images
    from latents, a 'translator' of images to images or a 'stylist', which translates between two domains
    (`layers.generative`). `checkpoints` says whether it can start from published weights, `conditional` whether a
    generator is told the class in any case; others may have a setting.
    """

    path: str
    title: str
    paper: str
    inputs: tuple[str, ...]
    variant: str = ""
    fits: Callable[[Mapping[str, Any], Shape], str | None] = lambda settings, shape: None
    contract: Literal["encoder", "generator", "translator", "stylist"] = "encoder"
    checkpoints: bool = False
    conditional: bool = False

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`given` completed by the constructor's defaults; raises pydantic's ValidationError."""
        # YAML has lists only; the constructors take tuples.
        plain = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        return settings_of(self.path).model_validate(plain).model_dump()

    def titled(self, settings: Mapping[str, Any]) -> str:
        """What a leaderboard calls the network with these complete settings, such as 'ResNet-20'."""
        return (self.variant or self.title).format(**settings)
