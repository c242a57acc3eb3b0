from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from leadline.errors import InputError
from leadline.io.images import AnimatedImageWarning, exif_focal, image_size, read_image, write_image

GREY = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)
COLOUR = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm", ".jp2"])
def test_rgb_is_read_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(COLOUR).save(path)
    assert np.array_equal(read_image(path), COLOUR)
    assert image_size(path) == (12, 20)


@pytest.mark.parametrize("suffix", [".png", ".pgm", ".tiff"])
def test_grey(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GREY).save(path)
    assert np.array_equal(read_image(path), grey_to_rgb(GREY))


def test_one_bit(tmp_path: Path) -> None:
    bits = GREY % 3 == 0
    Image.fromarray(bits).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), grey_to_rgb(np.where(bits, 255, 0)))


@pytest.mark.parametrize("suffix", [".png", ".pgm", ".tiff"])
def test_sixteen_bit_grey_is_scaled_by_its_full_range(tmp_path: Path, suffix: str) -> None:
    codes = np.linspace(0, 65535, 240).astype(np.uint16).reshape(12, 20)
    Image.fromarray(codes).save(tmp_path / f"a{suffix}")
    expected = np.rint(codes / 65535 * 255).astype(np.uint8)
    assert np.array_equal(read_image(tmp_path / f"a{suffix}"), grey_to_rgb(expected))
    Image.fromarray(codes // 100).save(tmp_path / f"dark{suffix}")
    assert read_image(tmp_path / f"dark{suffix}").max() == 3


def test_palette(tmp_path: Path) -> None:
    picture = Image.fromarray(COLOUR).quantize(16)
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), np.array(picture.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_over_black(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    if mode == "P":
        picture = Image.fromarray(np.repeat([[0], [1]], 4, axis=1).astype(np.uint8), mode="P")
        picture.putpalette([200, 100, 50, 10, 20, 30])
        picture.save(path, transparency=0)
        top, bottom = (0, 0, 0), (10, 20, 30)
    else:
        channels = 1 if mode == "LA" else 3
        pixels = np.full((2, 4, channels + 1), 200, np.uint8)
        pixels[0, :, -1], pixels[1, :, -1] = 0, 255
        Image.fromarray(pixels, mode=mode).save(path)
        top, bottom = (0, 0, 0), (200, 200, 200)
    image = read_image(path)
    assert (image[0] == top).all()
    assert (image[1] == bottom).all()


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - (255, 0, 0)).max() <= 3


ORIENTED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, -1)[:, ::-1],
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("grey16", [False, True])
def test_exif_orientation(tmp_path: Path, orientation: int, grey16: bool) -> None:
    """The EXIF standard's table: 6 is a picture that must be turned clockwise, 8 the other way."""
    stored = (GREY.astype(np.uint16) * 257) if grey16 else COLOUR
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    plain = grey_to_rgb(GREY) if grey16 else COLOUR
    expected = ORIENTED[orientation](plain)
    if orientation == 7:  # transposed over the other diagonal: the last stored pixel comes first
        expected = plain[::-1, ::-1].transpose(1, 0, 2)
    assert np.array_equal(read_image(tmp_path / "a.png"), expected)
    assert image_size(tmp_path / "a.png") == expected.shape[:2]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tiff"])
def test_animation_gives_its_first_picture_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frames = [Image.new("RGB", (20, 12), colour) for colour in ("white", "red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.warns(AnimatedImageWarning, match=r"a\..*holds 3 pictures"):
        assert (read_image(path) == 255).all()


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 90, 3), dtype=np.uint8)).save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("kept", [0.01, 0.3, 0.7, 0.95])
def test_cut_off_files_are_refused(tmp_path: Path, format: str, kept: float) -> None:
    data = encoded(format)
    path = tmp_path / "cut.img"
    path.write_bytes(data[: max(1, int(kept * len(data)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own about the EXIF data it cannot find
        with pytest.raises(InputError, match=r"cut\.img: (the picture is damaged|not a picture)"):
            read_image(path)


@given(kept=st.integers(0, 2**16))
def test_a_png_cut_anywhere_is_refused_or_whole(tmp_path_factory: pytest.TempPathFactory, kept: int) -> None:
    data = encoded("PNG")
    path = tmp_path_factory.mktemp("cut") / "a.png"
    path.write_bytes(data[: len(data) - kept % 200])
    whole = np.array(Image.open(io.BytesIO(data)))
    try:
        image = read_image(path)
    except InputError:
        return
    assert np.array_equal(image, whole)


def test_what_is_no_picture_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("not a picture at all")
    Image.fromarray(np.ones((9, 9), np.float32)).save(tmp_path / "float.tiff")
    for name, reason in {
        "missing.png": "no such file",
        "": "a folder",
        "empty.png": "is empty",
        "text.jpg": "not a picture",
        "float.tiff": "floating point",
    }.items():
        with pytest.raises(InputError, match=reason) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_picture_too_large_to_be_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(InputError, match="too large"):
        read_image(tmp_path / "a.png")


def test_write_and_read_again(tmp_path: Path) -> None:
    write_image(tmp_path / "new" / "a.png", COLOUR)
    assert np.array_equal(read_image(tmp_path / "new" / "a.png"), COLOUR)
    flat = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    write_image(tmp_path / "a.JPG", flat)
    assert np.abs(read_image(tmp_path / "a.JPG").astype(int) - flat).max() <= 3
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.JPG", "new"]


def test_floating_point_is_rounded_to_the_nearest_step(tmp_path: Path) -> None:
    inexact = COLOUR / np.float32(255) + np.linspace(-0.0015, 0.0015, 20, dtype=np.float32)[:, None]
    for array in (COLOUR / 255, inexact.clip(-0.0005, 1.0005)):
        write_image(tmp_path / "a.png", array)
        assert np.array_equal(read_image(tmp_path / "a.png"), COLOUR)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (COLOUR.astype(np.float32), r"in \[0, 1\], this one goes from 0 to 255"),
        (np.full((4, 4, 3), np.nan), "from nan to nan"),
        (GREY, r"uint8 \(H, W, 3\)"),
        (GREY / 255, r"uint8 \(H, W, 3\)"),
        (COLOUR.astype(int), r"uint8 \(H, W, 3\)"),
        (COLOUR[:0], r"uint8 \(H, W, 3\)"),
    ],
)
def test_arrays_that_are_no_picture_are_not_written(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        write_image(tmp_path / "a.png", array)
    assert not list(tmp_path.iterdir())


def test_unknown_suffix_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png, \.jpg, \.jpeg"):
        write_image(tmp_path / "a.jgp", COLOUR)


def photograph(path: Path, size: tuple[int, int], **tags: float) -> Path:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base[name]: value for name, value in tags.items()})
    Image.new("RGB", size).save(path, exif=exif)
    return path


def test_exif_focal_length(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    # On 3:2 the diagonal rule is the 36 mm rule: 50 mm on 300 pixels for 36 mm.
    assert exif_focal(photograph(path, (300, 200), FocalLengthIn35mmFilm=50)) == pytest.approx(50 / 36 * 300)
    # 4000 pixels recorded, kept at 400: 5 mm at 8000 pixels a cm is 4000 pixels, now 400.
    tags = {"FocalLength": 5.0, "FocalPlaneXResolution": 8000.0, "FocalPlaneResolutionUnit": 3}
    assert exif_focal(photograph(path, (400, 300), ExifImageWidth=4000, **tags)) == pytest.approx(400)
    assert exif_focal(photograph(path, (400, 300), **tags)) == pytest.approx(4000)
    assert exif_focal(photograph(path, (400, 300), FocalLengthIn35mmFilm=0, FocalLength=5.0)) is None
    Image.new("RGB", (9, 9)).save(path)
    assert exif_focal(path) is None


def test_real_files(real_data: Path) -> None:
    colour = real_data / "sevenscenes/seq-01/frame-000000.color.jpg"
    assert read_image(colour).shape == (*image_size(colour), 3) == (480, 640, 3)
    rgba = real_data / "simcol/Frames_S1/FrameBuffer_0000.png"
    assert np.array_equal(read_image(rgba), np.array(Image.open(rgba))[..., :3])


def test_the_size_of_a_png_is_known_without_its_pixels(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:200])  # the header and a beginning
    assert image_size(path) == (60, 80)
    with pytest.raises(InputError):
        read_image(path)
