"""Which settings of the transformers go with which data; free of torch, so that `quintet check` can ask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def heads_fit(settings: Mapping[str, Any]) -> str | None:
    """Every head takes the same share of the embedding."""
    embed_dim, num_heads = settings["embed_dim"], settings["num_heads"]
    if embed_dim % num_heads == 0:
        return None
    return f"num_heads {num_heads} does not divide embed_dim {embed_dim}; {_listed(embed_dim, 16)} would"


def vit_fits(settings: Mapping[str, Any], shape: tuple[int, ...]) -> str | None:
    """Patches tile the image: `patch_size` divides its height and width."""
    patch_size, (_, height, width) = settings["patch_size"], shape
    if height % patch_size or width % patch_size:
        side = math.gcd(height, width)
        return f"patch_size {patch_size} does not divide images of {height} x {width}; {_listed(side, side)} would"
    return heads_fit(settings)


def text_encoder_fits(settings: Mapping[str, Any], shape: tuple[int, ...]) -> str | None:
    """Sines and cosines come in pairs, and heads share the embedding."""
    if settings["positions"] == "sinusoidal" and settings["embed_dim"] % 2:
        return f"embed_dim {settings['embed_dim']} is odd, and sinusoidal positions come in pairs; take an even one"
    return heads_fit(settings)


def _listed(number: int, largest: int) -> str:
    """The divisors of `number` up to `largest`, in words."""
    *most, last = [str(n) for n in range(1, largest + 1) if number % n == 0]
    return f"{', '.join(most)} or {last}" if most else last
