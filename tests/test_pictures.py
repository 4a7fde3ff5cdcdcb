"""Pictures of any kind as a person sees them: depth, transparency, orientation, palettes, CMYK, animations; or a refusal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from neural.datasets.pictures import read_picture, to_rgb
from neural.datasets.verification import verify_images
from neural.embed.images import ImageTransform
from tests.strategies import seeds


def levels(image):
    """(height, width) grey levels of a picture that is grey."""
    pixels = np.asarray(image)
    assert image.mode == "RGB"
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].astype(int)


@given(seeds, st.sampled_from(["png", "tif", "pgm"]))
def test_sixteen_bits_are_scaled_not_clipped(tmp_path_factory, seed, ending):
    deep = np.random.default_rng(seed).integers(0, 65536, (5, 7), dtype=np.uint16)
    path = tmp_path_factory.mktemp("deep") / f"a.{ending}"
    Image.fromarray(deep).save(path)
    expected = [[round(255 * int(level) / 65535) for level in row] for row in deep]
    assert np.abs(levels(read_picture(path)) - expected).max() <= 0
    assert verify_images([path]) == []


def test_three_dark_and_bright_sixteen_bit_pictures_have_different_features(tmp_path):
    found = []
    for i, base in enumerate((1000, 20_000, 60_000)):
        ramp = base + np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
        Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / f"{i}.png")
        found.append(ImageTransform()(read_picture(tmp_path / f"{i}.png")))
    for i, one in enumerate(found):
        assert all(np.abs(one - other).mean() > 0.1 for other in found[:i])


def test_floats_between_zero_and_one_are_read(tmp_path):
    Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32)).save(tmp_path / "a.tif")
    assert levels(read_picture(tmp_path / "a.tif")).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (
            np.array([[0, 70_000]], dtype=np.int32),
            "whole numbers of 32 bits, which say neither what is black",
        ),
        (np.array([[0, 2.5]], dtype=np.float32), r"floats from 0 to 2.5, and only 0 \(black\) to 1"),
        (np.array([[-1, 1]], dtype=np.float32), "floats from -1 to 1, and only"),
        (np.array([[np.nan, 1]], dtype=np.float32), "only 0"),
    ],
)
def test_brightness_without_a_range_is_refused(tmp_path, pixels, message):
    path = tmp_path / "a.tif"
    Image.fromarray(pixels).save(path)
    with pytest.raises(ValueError, match=rf"a\.tif: this image cannot be opened \(.*{message}"):
        read_picture(path)
    (broken,) = verify_images([path])
    assert broken.path == path


def ground_and_dot(mode):
    """A black dot on a transparent ground whose hidden colour is black, too."""
    image = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (3, 3, 6, 6))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_ground_is_white(mode):
    seen = levels(to_rgb(ground_and_dot(mode)))
    assert seen[0, 0] == 255
    assert seen[4, 4] == 0


@pytest.mark.parametrize("ending", ["png", "webp", "gif", "tif"])
def test_transparent_ground_is_white_in_files(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    options = {"lossless": True} if ending == "webp" else {}
    ground_and_dot("RGBA").save(path, **options)
    seen = levels(read_picture(path))
    assert (seen[0, 0], seen[4, 4]) == (255, 0)


def test_one_colour_that_means_transparent_is_white(tmp_path):
    image = Image.new("RGB", (4, 4), (10, 20, 30))
    image.putpixel((2, 2), (200, 0, 0))
    image.save(tmp_path / "a.png", transparency=(10, 20, 30))
    seen = np.asarray(read_picture(tmp_path / "a.png"))
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[2, 2].tolist() == [200, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path, orientation):
    """Stored as a camera stores it: the upright picture, turned back by what the tag says."""
    upright = Image.fromarray(np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    seen = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(seen), np.asarray(upright))
    np.testing.assert_array_equal(np.asarray(to_rgb(seen)), np.asarray(upright))


def test_cmyk_palette_and_one_bit(tmp_path):
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    red.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    red.convert("P").save(tmp_path / "palette.png")
    for name in ("cmyk.jpg", "palette.png"):
        seen = np.asarray(read_picture(tmp_path / name)).astype(int)
        assert np.abs(seen - [255, 0, 0]).max() <= 3, name
    Image.new("1", (3, 3), 1).save(tmp_path / "bit.png")
    assert levels(read_picture(tmp_path / "bit.png")).min() == 255


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_of_an_animation_the_first_picture_counts(tmp_path, ending):
    frames = [Image.new("RGB", (4, 4), (level, level, level)) for level in (0, 120, 250)]
    options = {"lossless": True} if ending == "webp" else {}
    frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:], **options)
    assert levels(read_picture(tmp_path / f"a.{ending}")).max() <= 2
