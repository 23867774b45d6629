from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from quintet.serving.adapter import BadInput
from quintet.serving.image_classifier import pixels
from tests.serving.conftest import BAD, encoded


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_becomes_what_its_pixels_say(channels: int, mode: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).convert(mode)
    plain = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    wanted = plain[None] if channels == 1 else plain.transpose(2, 0, 1)
    assert np.array_equal(pixels(encoded(image), (channels, 8, 8)), wanted)
    assert np.array_equal(pixels(plain.tolist(), (channels, 8, 8)), wanted)
    assert pixels(encoded(image.resize((50, 50)), "JPEG"), (channels, 8, 8)).shape == (channels, 8, 8)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_image_is_refused_with_its_reason(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(BadInput, match=message):
        pixels(make(), (1, 8, 8))
