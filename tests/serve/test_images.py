from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from common.served import client_of
from leadline.depth import DepthMap
from leadline.io.ply import read_ply
from leadline.serve.limits import Limits

KIND = "scale-invariant-depth"


def saved(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def loaded(body: bytes, folder, suffix: str) -> DepthMap:
    file = folder / f"answer.{suffix}"
    file.write_bytes(body)
    return DepthMap.load(file)


@pytest.mark.parametrize("sent", ["body", "form"])
@pytest.mark.parametrize(("format", "suffix"), [("png16", "png"), ("npz", "npz")])
def test_a_map_says_what_its_values_mean(client, photo, tmp_path, sent, format, suffix):
    body = {"content": photo} if sent == "body" else {"files": {"file": ("../../etc/passwd", photo)}}
    response = client.post("/v1/depth", params={"format": format}, **body)
    assert response.status_code == 200
    depth = loaded(response.content, tmp_path, suffix)
    assert (str(depth.kind), depth.unit, depth.shape, depth.camera) == (KIND, "arbitrary", (96, 128), None)
    assert np.allclose(depth.values, 1 / 0.45, rtol=1e-4)
    assert response.headers["depth-kind"] == KIND
    assert response.headers["depth-unit"] == "arbitrary"
    assert response.headers["depth-licence"] == "cc-by-nc-4.0"
    low, high = map(float, response.headers["depth-range"].split())
    assert low == pytest.approx(1 / 0.45, rel=1e-4)
    assert high == pytest.approx(1 / 0.45, rel=1e-4)


def test_colours_are_a_picture_of_the_same_size(client, photo):
    response = client.post("/v1/depth", params={"format": "colour"}, content=photo)
    picture = Image.open(io.BytesIO(response.content))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (128, 96))


def test_points_are_where_the_camera_says(client, photo, tmp_path):
    response = client.post("/v1/depth", params={"format": "ply", "fov": 90}, content=photo)
    (tmp_path / "a.ply").write_bytes(response.content)
    points, colours = read_ply(tmp_path / "a.ply")
    assert len(points) == 96 * 128
    assert np.allclose(points[:, 2], 1 / 0.45, rtol=1e-4)
    assert points[:, 0].max() == pytest.approx(63.5 / 64 / 0.45, rel=1e-3)  # half the width is one focal length
    assert (colours == 102).all()


def test_the_camera_is_the_clients_or_that_of_exif(client, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 36
    photo = saved(Image.new("RGB", (80, 60)), "JPEG", exif=exif)
    own = loaded(client.post("/v1/depth", content=photo).content, tmp_path, "png")
    assert own.camera.fx == pytest.approx(36 / 43.27 * 100, rel=1e-2)
    said = client.post("/v1/depth", params={"fx": 50, "cx": 41, "fov": 20}, content=photo)
    camera = loaded(said.content, tmp_path, "png").camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (50, 50, 41, 29.5)


def test_orientation_is_undone(client, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = saved(Image.new("RGB", (80, 60)), "JPEG", exif=exif)
    assert loaded(client.post("/v1/depth", content=photo).content, tmp_path, "png").shape == (80, 60)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_pictures_of_all_usual_forms(client, form):
    assert client.post("/v1/depth", content=saved(Image.new("RGB", (40, 30)), form)).status_code == 200


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"format": "ply"}, "a point cloud needs the camera: give fov=DEGREES"),
        ({"format": "exr"}, "format: input should be 'png16', 'npz', 'colour' or 'ply'"),
        ({"fov": 180}, "fov: input should be less than 180"),
        ({"fov": "nan"}, "fov: input should be"),
        ({"fx": -1}, "fx: input should be greater than 0"),
        ({"formt": "npz"}, "formt: no such option"),
    ],
)
def test_what_cannot_be_asked(client, photo, params, line):
    response = client.post("/v1/depth", params=params, content=photo)
    assert response.status_code == 422
    assert line in response.json()["error"]


def test_points_of_a_map_known_up_to_shift_are_refused(affine_client, photo):
    response = affine_client.post("/v1/depth", params={"format": "ply", "fov": 60}, content=photo)
    assert response.status_code == 422
    assert "an unknown shift distorts the shape" in response.json()["error"]
    card = affine_client.get("/v1/model").json()
    assert card["points"] is False
    assert "ply" not in card["formats"]
    assert affine_client.post("/v1/depth", params={"format": "npz"}, content=photo).status_code == 200


def header_only(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(6000, 6000), (50000, 50000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(client, size):
    response = client.post("/v1/depth", content=header_only(*size))
    assert response.status_code == 413
    assert response.json()["error"].startswith("image: ")


def test_too_small_too_large_and_nothing(bright_teacher, photo, tmp_path):
    with client_of(bright_teacher, tmp_path, limits=Limits(image_mb=0.001, image_megapixels=0.01)) as client:
        tiny = saved(Image.new("RGB", (7, 90)), "PNG")
        assert client.post("/v1/depth", content=tiny).json()["error"] == "image: 7x90 pixels; at least 8x8 are needed"
        assert client.post("/v1/depth", content=photo).status_code == 413  # 12288 pixels
        for body in ({"content": bytes(2000)}, {"files": {"file": bytes(2000)}}, {"content": bytes(100000)}):
            response = client.post("/v1/depth", **body)
            assert (response.status_code, response.json()) == (413, {"error": "more than 0.001 MB"})

        def endless():
            for _ in range(100):
                yield bytes(1000)

        assert client.post("/v1/depth", content=endless()).status_code == 413  # no length is announced
        assert client.post("/v1/depth").status_code == 400
        assert list(client.spool.passing.iterdir()) == []


PART = b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=" + "b" * 1000, b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\ncut"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=other\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"A: b\r\n" * 10000),
        ("multipart/form-data; boundary=b", 2 * PART + b"--b--"),
        ("image/png", b""),
    ],
)  # fmt: skip
def test_forms_that_are_none(client, kind, body):
    response = client.post("/v1/depth", content=body, headers={"content-type": kind})
    assert response.status_code == 400
    assert response.json()["error"]


def test_of_several_images_one_bad_one_harms_no_other(client, photo):
    answers = [client.post("/v1/depth", content=body).status_code for body in (photo, photo[:60], photo)]
    assert answers == [200, 422, 200]


def parts(data: bytes):
    return st.integers(0, len(data)).map(lambda end: data[:end])


def flipped(data: bytes):
    places = st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=8)
    return places.map(lambda changes: _changed(data, changes))


def _changed(data: bytes, changes) -> bytes:
    copy = bytearray(data)
    for place, value in changes:
        copy[place] = value
    return bytes(copy)


NOISE = Image.effect_noise((24, 20), 50).convert("RGB")
FORMS = [saved(NOISE, form) for form in ("PNG", "JPEG", "WEBP", "TIFF", "GIF")]
HOSTILE = st.one_of(
    st.binary(max_size=200),
    st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)).map(lambda size: header_only(*size)),
    *(parts(data) for data in FORMS),
    *(flipped(data) for data in FORMS),
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE, st.sampled_from(["png16", "npz", "colour", "ply"]), st.booleans())
def test_whatever_is_sent_is_answered_and_leaves_nothing(client, data, format, form):
    body = {"files": {"file": data}} if form else {"content": data}
    response = client.post("/v1/depth", params={"format": format, "fov": 60}, **body)
    assert response.status_code in (200, 400, 413, 422)
    if response.status_code != 200:
        assert set(response.json()) == {"error"}
        assert str(client.spool.folder) not in response.text
    assert list(client.spool.passing.iterdir()) == []
