"""Every kind of picture people keep arrives upright, undistorted and in 8 bits, or is refused with the reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quintet.data.picture import Unusable, read_picture, strict_reading

RED, WHITE = (255, 0, 0), (255, 255, 255)


def flat(path: Path, mode: str, colour: object, **save: object) -> Path:
    Image.new(mode, (8, 8), colour).save(path, **save)
    return path


def centre(path: Path, channels: int = 3) -> tuple[int, ...]:
    pixels = read_picture(path, (4, 4), channels)
    assert pixels.shape == (channels, 4, 4)
    assert pixels.dtype == np.uint8
    return tuple(pixels[:, 2, 2].tolist())


@pytest.mark.parametrize("extension", ["png", "bmp", "gif", "tiff", "webp", "ppm"])
def test_lossless_formats_keep_their_colour(tmp_path, extension):
    options = {"lossless": True} if extension == "webp" else {}
    assert centre(flat(tmp_path / f"a.{extension}", "RGB", RED, **options)) == RED


def test_grey_and_colour_are_made_from_one_another(tmp_path):
    assert centre(flat(tmp_path / "a.png", "L", 77)) == (77, 77, 77)
    assert centre(flat(tmp_path / "b.png", "RGB", WHITE), channels=1) == (255,)
    assert centre(flat(tmp_path / "c.png", "1", 1)) == WHITE


def test_a_palette_is_looked_up(tmp_path):
    image = Image.new("RGB", (8, 8), RED).convert("P", palette=Image.Palette.ADAPTIVE)
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as kept:
        assert kept.mode == "P"
    assert centre(tmp_path / "a.png") == RED


def test_transparent_parts_are_white_whatever_lies_under_them(tmp_path):
    assert centre(flat(tmp_path / "a.png", "RGBA", (255, 0, 0, 0))) == WHITE
    assert centre(flat(tmp_path / "b.png", "RGBA", (255, 0, 0, 255))) == RED
    assert centre(flat(tmp_path / "c.png", "LA", (0, 0))) == WHITE
    palette = Image.new("P", (8, 8), 3)
    palette.putpalette([255, 0, 0] * 256)
    palette.save(tmp_path / "d.png", transparency=3)
    assert centre(tmp_path / "d.png") == WHITE
    palette.save(tmp_path / "e.png", transparency=bytes([255, 255, 255, 0]))
    assert centre(tmp_path / "e.png") == WHITE


@pytest.mark.parametrize("extension", ["png", "tiff", "pgm"])
def test_sixteen_bits_are_scaled_not_cut_off(tmp_path, extension):
    Image.fromarray(np.full((8, 8), 200 * 257, np.uint16)).save(tmp_path / f"a.{extension}")
    assert centre(tmp_path / f"a.{extension}", channels=1) == (200,)
    assert centre(tmp_path / f"a.{extension}", channels=3) == (200, 200, 200)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_of_unknown_range_are_refused(tmp_path, kind):
    Image.fromarray(np.full((8, 8), 5, kind)).save(tmp_path / "a.tiff")
    with pytest.raises(Unusable, match="range is unknown"):
        read_picture(tmp_path / "a.tiff", (4, 4), 1)


def test_cmyk_becomes_rgb(tmp_path):
    flat(tmp_path / "a.jpg", "CMYK", (0, 255, 255, 0), quality=100)
    red, green, blue = centre(tmp_path / "a.jpg")
    assert red > 250
    assert max(green, blue) < 5


def test_a_photograph_is_turned_as_its_exif_entry_says(tmp_path):
    image = Image.new("RGB", (8, 8), WHITE)
    image.paste(RED, (0, 0, 8, 4))  # upper half
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.png", exif=exif)
    pixels = read_picture(tmp_path / "a.png", (8, 8), 3)
    assert tuple(pixels[:, 7, 4]) == RED
    assert tuple(pixels[:, 0, 4]) == WHITE


def test_the_centre_is_kept_and_nothing_is_squeezed(tmp_path):
    image = Image.new("RGB", (24, 8), WHITE)
    image.paste(RED, (8, 0, 16, 8))  # the middle third
    image.save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png", (8, 8), 3) == np.array(RED)[:, None, None]).all()
    tall = read_picture(tmp_path / "a.png", (6, 2), 3)
    assert tall.shape == (3, 6, 2)
    assert (tall == np.array(RED)[:, None, None]).all()


def test_scaling_down_averages_instead_of_picking_pixels(tmp_path):
    board = np.indices((64, 64)).sum(0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(tmp_path / "a.png")
    pixels = read_picture(tmp_path / "a.png", (4, 4), 1).astype(int)
    assert abs(pixels - 128).max() < 12


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "gif", "tiff", "bmp"])
def test_a_truncated_file_is_refused(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unusable):
        read_picture(path, (4, 4), 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"hello", "not an image"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image")],
)
def test_what_is_no_image_is_refused(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(Unusable, match=reason):
        read_picture(tmp_path / "a.jpg", (4, 4), 3)


def test_a_format_outside_the_list_is_refused_under_any_extension(tmp_path):
    # Pillow reads more than is listed, PostScript by running a program among them; PCX stands for these.
    flat(tmp_path / "a.pcx", "RGB", RED).rename(tmp_path / "a.png")
    with pytest.raises(Unusable, match="not an image"):
        read_picture(tmp_path / "a.png", (4, 4), 3)


def test_an_animation_is_refused_rather_than_cut_to_a_frame(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(Unusable, match="2 frames"):
        read_picture(tmp_path / "a.gif", (4, 4), 3)


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path, side):
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    with strict_reading(), pytest.raises(Unusable, match="pixels"):
        read_picture(tmp_path / "a.png", (4, 4), 3)
