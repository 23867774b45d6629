"""One image file as an array of the size a model reads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# Named, because Pillow would also open formats that run other programs (EPS) to do so.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})


class Unusable(Exception):
    """Why a file is no example."""


@contextmanager
def strict_reading() -> Iterator[None]:
    """Within this, an image too large to be honest is an error, where Pillow would only warn.

    Process-wide, as warnings are, so it is entered once around all reading threads.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_picture(path: Path, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """uint8 [channels height width], `size` being (height, width); raises Unusable with the reason.

    The picture is turned upright as its EXIF entry says, transparent parts become white, 16-bit
    grey is scaled to 8 bits, colours become RGB or grey. Then the largest centred part with the
    wanted proportions is scaled to `size` (bicubic, antialiased): nothing is distorted, borders may go.
    """
    try:
        if path.stat().st_size == 0:
            raise Unusable("empty file")
        with Image.open(path, formats=_FORMATS) as image:
            frames = getattr(image, "n_frames", 1)
            # A phone's MPO holds the photograph and, behind it, previews of it.
            if frames > 1 and image.format != "MPO":
                raise Unusable(f"{frames} frames or pages, where one picture is expected")
            upright = _eight_bit(ImageOps.exif_transpose(image), image.format)
            coloured = _on_white(upright).convert("RGB" if channels == 3 else "L")
            height, width = size
            fitted = ImageOps.fit(coloured, (width, height), method=Image.Resampling.BICUBIC)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels, which no example needs") from None
    except UnidentifiedImageError:
        raise Unusable("not an image that can be read") from None
    except (MemoryError, Unusable):
        raise
    except Exception as e:
        # Pillow's decoders meet damaged files with errors of nearly every type.
        raise Unusable(f"damaged or unreadable ({' '.join(str(e).split()) or type(e).__name__})") from e
    pixels = np.asarray(fitted)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _eight_bit(image: Image.Image, file_format: str | None) -> Image.Image:
    """Grey of 16 bits as 8 bits: Pillow's own conversion cuts values off at 255 instead of scaling them."""
    # Pillow opens 16-bit PGM, and some 16-bit PNG, as 32-bit integers that keep to the range of 16.
    if image.mode in _SIXTEEN_BIT or (image.mode == "I" and file_format in ("PNG", "PPM")):
        return Image.fromarray(np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise Unusable("32 bits per pixel, whose range is unknown; save it with 8 or 16")
    return image


def _on_white(image: Image.Image) -> Image.Image:
    """The picture over a white ground. What lies under transparent pixels is arbitrary, so it must not show."""
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    ground = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(ground, layer)
