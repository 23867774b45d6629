"""How networks that halve and double maps are sized to images."""

from __future__ import annotations

from collections.abc import Sequence


def pyramid(sides: Sequence[int], smallest: int) -> list[tuple[int, int]]:
    """(height, width) of the maps from the image's own down to the last whose shorter side has `smallest` pixels or
    more.

    A half is rounded up. With the 4 pixels of the papers: 64 to 4, 32 to 4, 28 to 7, 8 to 4.
    """
    height, width = sides
    maps = [(height, width)]
    while min(maps[-1]) // 2 >= smallest:
        maps.append(((maps[-1][0] + 1) // 2, (maps[-1][1] + 1) // 2))
    return maps
