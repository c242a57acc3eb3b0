from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leadline.errors import InputError
from leadline.io.ply import read_ply, write_ply


@given(
    points=hnp.arrays(np.float32, st.tuples(st.integers(0, 30), st.just(3)), elements=st.floats(width=32)),
    coloured=st.booleans(),
)
def test_write_and_read_again(tmp_path_factory: pytest.TempPathFactory, points: np.ndarray, coloured: bool) -> None:
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    colours = np.arange(points.size, dtype=np.uint8).reshape(points.shape) if coloured else None
    write_ply(path, points, colours)
    read, read_colours = read_ply(path)
    assert np.array_equal(read, points, equal_nan=True)
    assert (read_colours is None) == (colours is None)
    assert colours is None or np.array_equal(read_colours, colours)


def test_ascii_with_other_elements_and_columns(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_text(
        "ply\nformat ascii 1.0\ncomment element vertex 9\n"
        "element camera 1\nproperty float f\nelement vertex 2\n"
        "property double z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\nproperty float x\n"
        "property int y\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
        "525\n3 255 128 0 1.5 2\n6 1 2 3 4.5 5\n2 0 1\n"
    )
    points, colours = read_ply(tmp_path / "a.ply")
    assert points.tolist() == [[1.5, 2, 3], [4.5, 5, 6]]
    assert colours is not None
    assert colours.tolist() == [[255, 128, 0], [1, 2, 3]]


def test_big_endian(tmp_path: Path) -> None:
    header = b"ply\nformat binary_big_endian 1.0\nelement vertex 2\n" + b"".join(
        b"property float %c\n" % axis for axis in b"xyz"
    )
    values = np.arange(6, dtype=">f4").reshape(2, 3)
    (tmp_path / "a.ply").write_bytes(header + b"end_header\n" + values.tobytes())
    assert np.array_equal(read_ply(tmp_path / "a.ply")[0], values)


def test_errors(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", np.ones((5, 3), np.float32))
    whole = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "cut.ply").write_bytes(whole[:-1])
    (tmp_path / "flat.ply").write_bytes(whole.replace(b"property float z", b"property float w"))
    (tmp_path / "kind.ply").write_bytes(whole.replace(b"property float z", b"property quad z"))
    (tmp_path / "text.ply").write_text("solid cube")
    for name, reason in {
        "missing.ply": "cannot be read",
        "cut.ply": "damaged",
        "flat.ply": "no vertices with x y z",
        "kind.ply": "damaged",
        "text.ply": "not a PLY file",
    }.items():
        with pytest.raises(InputError, match=reason):
            read_ply(tmp_path / name)
    with pytest.raises(InputError, match=r"\.ply"):
        write_ply(tmp_path / "a.obj", np.ones((5, 3), np.float32))
    with pytest.raises(InputError, match=r"\(N, 3\)"):
        write_ply(tmp_path / "a.ply", np.ones((3, 5), np.float32))
    with pytest.raises(InputError, match="colours are uint8"):
        write_ply(tmp_path / "a.ply", np.ones((5, 3), np.float32), np.ones((5, 3)))  # type: ignore[arg-type]


def test_structure_from_motion_points(real_data: Path) -> None:
    points, colours = read_ply(real_data / "sinus_endoscopy/structure.ply")
    assert points.shape == (570, 3)
    assert colours is None
    assert points[0] == pytest.approx([-0.51611453, 0.59833932, 1.7286849])
    assert (points[:, 2] > 0).all()
