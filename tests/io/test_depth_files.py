from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from leadline.errors import InputError
from leadline.io.depth_files import read_depth, write_depth

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))
META = {"kind": "metric-depth", "unit": "mm", "note": 'µ "quoted" \n line'}


@st.composite
def maps(draw: st.DrawFn, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    values = draw(hnp.arrays(np.float32, shape, elements=st.floats(np.float32(low), np.float32(high), width=32)))
    return values, draw(hnp.arrays(np.bool_, shape))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("depth")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".exr", ".pfm"])
@given(pair=maps(-3.4e38, 3.4e38))
def test_floating_point_formats_are_exact(folder: Path, suffix: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    values, valid = pair
    write_depth(folder / f"a{suffix}", values, valid, META)
    read, read_valid, meta = read_depth(folder / f"a{suffix}")
    assert read.dtype == np.float32
    assert np.array_equal(read_valid, valid)
    assert np.array_equal(read[valid], values[valid])
    assert (read[~valid] == 0).all()
    assert meta == (META if suffix in (".npz", ".exr") else {})


@given(pair=maps(-1e6, 1e6), affine=st.booleans())
def test_png_is_right_to_half_a_step(folder: Path, pair: tuple[np.ndarray, np.ndarray], affine: bool) -> None:
    values, valid = pair
    write_depth(folder / "a.png", values, valid, META, affine=affine)
    read, read_valid, meta = read_depth(folder / "a.png")
    assert np.array_equal(read_valid, valid)
    assert meta == META
    known = values[valid].astype(np.float64)
    if known.size:
        low = known.min() if affine else min(0.0, known.min())
        step = (known.max() - low) / 65534
        rounding = np.spacing(np.abs(values).max())  # of the result to float32
        assert np.abs(read[valid] - known).max() <= 0.5001 * step + rounding


@given(pair=maps(0, 65.535))
def test_png_of_fixed_scale(folder: Path, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """What OpenCV and every other program sees: millimetres, 0 for nothing."""
    values, valid = pair
    write_depth(folder / "a.png", values, valid, scale=1000)
    codes = np.array(Image.open(folder / "a.png"))
    assert codes.dtype == np.uint16
    assert np.array_equal(codes > 0, valid)
    close = np.maximum(np.rint(values[valid].astype(np.float64) * 1000), 1)
    assert np.array_equal(codes[valid], close)
    Image.fromarray(codes).save(folder / "plain.png")
    for read, read_valid, _ in (read_depth(folder / "a.png"), read_depth(folder / "plain.png", scale=1000)):
        assert np.array_equal(read_valid, valid)
        assert read[valid] == pytest.approx(codes[valid] / 1000, rel=1e-6)


def test_png_codes_span_the_whole_range(tmp_path: Path) -> None:
    values = np.array([[0.0, 1.0, 2.0, 9.0]], np.float32)
    valid = np.array([[True, True, True, False]])
    write_depth(tmp_path / "a.png", values, valid)
    assert np.array(Image.open(tmp_path / "a.png")).tolist() == [[1, 32768, 65535, 0]]
    write_depth(tmp_path / "a.png", values + 5, valid, affine=True)
    assert np.array(Image.open(tmp_path / "a.png")).tolist() == [[1, 32768, 65535, 0]]
    write_depth(tmp_path / "a.png", values + 5, valid)
    assert np.array(Image.open(tmp_path / "a.png"))[0, 0] == 1 + round(5 / 7 * 65534)


@pytest.mark.parametrize("suffix", [".png", ".npz", ".npy", ".exr", ".pfm"])
def test_values_that_are_not_finite_become_invalid(tmp_path: Path, suffix: str) -> None:
    values = np.array([[1, np.nan, np.inf, -np.inf]], np.float32)
    write_depth(tmp_path / f"a{suffix}", values, np.ones((1, 4), np.bool_))
    read, valid, _ = read_depth(tmp_path / f"a{suffix}")
    assert valid.tolist() == [[True, False, False, False]]
    assert read == pytest.approx(np.array([[1, 0, 0, 0]]))


@pytest.mark.parametrize("suffix", [".png", ".npz", ".npy", ".exr", ".pfm"])
def test_a_map_without_any_valid_pixel(tmp_path: Path, suffix: str) -> None:
    write_depth(tmp_path / f"a{suffix}", np.ones((3, 4), np.float32), np.zeros((3, 4), np.bool_))
    read, valid, _ = read_depth(tmp_path / f"a{suffix}")
    assert read.shape == (3, 4)
    assert not valid.any()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_integers_of_others_need_a_scale(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.array([[0, 500, 65535]], np.uint16)).save(path)
    with pytest.raises(InputError, match="give their scale"):
        read_depth(path)
    values, valid, meta = read_depth(path, scale=1000)
    assert values[0] == pytest.approx([0, 0.5, 65.535])
    assert valid.tolist() == [[False, True, True]]
    assert meta == {}
    values, valid, _ = read_depth(path, scale=1000, invalid=(0, 65535))
    assert valid.tolist() == [[False, True, False]]
    assert values[0] == pytest.approx([0, 0.5, 0])
    assert read_depth(path, scale=1, invalid=())[1].all()


def test_floats_of_others(tmp_path: Path) -> None:
    values = np.array([[0, 2.5, np.nan]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tiff")
    np.savez(tmp_path / "one.npz", anything=values)
    np.savez(tmp_path / "two.npz", values=values[None], confidence=values)
    np.save(tmp_path / "a.npy", values.astype(np.float64)[..., None])
    for name in ("a.tiff", "one.npz", "two.npz", "a.npy"):
        read, valid, meta = read_depth(tmp_path / name)
        assert read.tolist() == [[0, 2.5, 0]]
        assert valid.tolist() == [[True, True, False]]
        assert meta == {}
        assert read_depth(tmp_path / name, scale=10, invalid=(0,))[0][0, 1] == pytest.approx(0.25)
        assert read_depth(tmp_path / name, invalid=(0,))[1].tolist() == [[False, True, False]]


def test_pfm_is_stored_from_bottom_to_top(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    (tmp_path / "big.pfm").write_bytes(b"Pf\n3 2\n1.0\n" + values[::-1].astype(">f4").tobytes())
    assert np.array_equal(read_depth(tmp_path / "big.pfm")[0], values)
    write_depth(tmp_path / "a.pfm", values, np.ones((2, 3), np.bool_))
    assert (tmp_path / "a.pfm").read_bytes() == b"Pf\n3 2\n-1.0\n" + values[::-1].astype("<f4").tobytes()


def test_exr_layers_of_others(tmp_path: Path) -> None:
    import OpenEXR

    values = np.array([[1, 2.5]], np.float16)
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
    for name, channels in {"v.exr": "V", "z.exr": "ZRG", "rgb.exr": "RGB"}.items():
        with OpenEXR.File(header, dict.fromkeys(channels, values)) as exr:
            exr.write(str(tmp_path / name))
    assert read_depth(tmp_path / "v.exr")[0].tolist() == [[1, 2.5]]
    assert read_depth(tmp_path / "z.exr")[0].tolist() == [[1, 2.5]]
    with pytest.raises(InputError, match="no layer 'Z'"):
        read_depth(tmp_path / "rgb.exr")


@pytest.mark.parametrize("suffix", [".png", ".npz", ".npy", ".exr", ".pfm", ".tiff"])
def test_damaged_files_are_named_in_one_line(tmp_path: Path, suffix: str) -> None:
    values = np.random.default_rng(0).random((40, 50), dtype=np.float32)
    path = tmp_path / f"a{suffix}"
    if suffix == ".tiff":
        Image.fromarray(values).save(path)
    else:
        write_depth(path, values, values > 0.1, META)
    whole = path.read_bytes()
    for content in (b"", b"rubbish " * 50, whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_depth(path, scale=1)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        read_depth(path)


def test_what_is_no_depth_map(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    np.save(tmp_path / "cube.npy", np.ones((3, 4, 5)))
    np.save(tmp_path / "complex.npy", np.ones((3, 4), complex))
    np.save(tmp_path / "objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    np.savez(tmp_path / "unequal.npz", depth=np.ones((2, 2)), valid=np.ones((2, 3)), meta=json.dumps({}))
    (tmp_path / "colour.pfm").write_bytes(b"PF\n1 1\n-1.0\n" + bytes(12))
    for name, reason in {
        "rgb.png": "a colour picture",
        "cube.npy": r"\(H, W\)",
        "complex.npy": r"\(H, W\)",
        "objects.npy": "plain array",
        "several.npz": "no array 'depth' in it, only a, b",
        "unequal.npz": "differ in size",
        "colour.pfm": "three channels",
        "a.jpg": r"cannot read a depth map as '\.jpg'.*did you mean '\.png'|cannot read a depth map",
    }.items():
        with pytest.raises(InputError, match=reason):
            read_depth(tmp_path / name, scale=1)


def test_damaged_metadata(tmp_path: Path) -> None:
    from PIL import PngImagePlugin

    for text in (
        "{",
        "[]",
        '{"step": "x", "offset": 0, "meta": {}}',
        '{"step": 1, "offset": 0, "meta": {"a": 1}}',
    ):
        info = PngImagePlugin.PngInfo()
        info.add_text("leadline", text)
        Image.fromarray(np.ones((2, 2), np.uint16)).save(tmp_path / "a.png", pnginfo=info)
        with pytest.raises(InputError, match="metadata in this file is damaged"):
            read_depth(tmp_path / "a.png")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    values, valid = np.full((2, 3), 70, np.float32), np.ones((2, 3), np.bool_)
    with pytest.raises(InputError, match=r"70.*1000 codes per unit \(0 to 65.535\)"):
        write_depth(tmp_path / "a.png", values, valid, scale=1000)
    with pytest.raises(InputError, match="do not fit"):
        write_depth(tmp_path / "a.png", -values, valid, scale=1)
    with pytest.raises(InputError, match="above 0"):
        write_depth(tmp_path / "a.png", values, valid, scale=0)
    with pytest.raises(InputError, match="scale is for 16-bit PNG"):
        write_depth(tmp_path / "a.npz", values, valid, scale=1000)
    with pytest.raises(InputError, match=r"cannot write a depth map as '\.tiff'"):
        write_depth(tmp_path / "a.tiff", values, valid)
    with pytest.raises(InputError, match=r"valid bool \(H, W\)"):
        write_depth(tmp_path / "a.npz", values, valid[:, :2])
    assert not list(tmp_path.iterdir())


def test_real_depth(real_data: Path) -> None:
    path = real_data / "sevenscenes/seq-01/frame-000000.depth.png"
    values, valid, _ = read_depth(path, scale=1000, invalid=(0, 65535))
    assert values.shape == (480, 640)
    assert 0.5 < valid.mean() < 1
    assert 0.3 < values[valid].min() < np.median(values[valid]) < 5
    simcol = read_depth(real_data / "simcol/Frames_S1/Depth_0000.png", scale=255 * 256 / 20)[0]
    assert 0 < simcol.max() <= 20.1
