"""Real cars with six cameras, judged and predicted as a user types it; what an untrained network says has no merit."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.commands import run
from common.nuscenes_sample import as_dataset
from leadline.io.images import read_image
from leadline.io.ply import read_ply


@pytest.mark.parametrize(
    ("dataset", "views", "cameras"), [("nuscenes", 6, 6), ("ddad", 27, 6)], ids=["nuscenes", "ddad"]
)
def test_a_real_rig_from_its_files_to_figures_and_one_cloud(
    dataset, views, cameras, real_data, student_file, tmp_path, capsys
):
    folder = real_data / "ddad_dgp"
    if dataset == "nuscenes":
        folder = as_dataset(real_data / "nuscenes_sample", tmp_path / "nuscenes")
    code, said, err = run(
        capsys, "evaluate", "--protocol", dataset, "--split", "all", "--data", folder, "--model", student_file,
        "--out", tmp_path / "judged", "--show", 0,
    )  # fmt: skip
    assert (code, err) == (0, "")
    result = json.loads((tmp_path / "judged" / "result.json").read_text())[0]
    assert len(result["images"]) == views
    assert len({row["name"].split("/")[1] for row in result["images"]}) == cameras
    assert all(np.isfinite(row["abs_rel"]) for row in result["images"])  # each has lidar on it
    assert "cross-view" in said.replace("_", "-")
    code, _, err = run(
        capsys, "predict", "--dataset", dataset, folder, "--model", student_file, "--formats", "ply", "--limit", 1,
        "--out", tmp_path / "seen",
    )  # fmt: skip
    assert (code, err) == (0, "")
    (cloud,), (sheet,) = (list((tmp_path / "seen").rglob(f"*{suffix}")) for suffix in (".ply", ".rig.png"))
    points, colours = read_ply(cloud)
    assert colours is not None
    assert len(points) == len(colours) > 1_000_000
    if dataset == "nuscenes":  # all six cameras at this instant: the cloud lies around the car
        sectors = np.unique((np.degrees(np.arctan2(points[:, 1], points[:, 0])) // 30).astype(int))
        assert len(sectors) >= 11  # at a few metres, seen from the rear axle, not every direction has its point
    picture = read_image(sheet)
    assert picture.std() > 20
