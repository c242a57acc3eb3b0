"""KITTI raw (Geiger et al., "Vision meets robotics: the KITTI dataset", IJRR 2013) and the ground truth of KITTI depth.

What differs from what one would expect, as the development kit and the field's evaluators have it:

- Calibration belongs to a day, not to a drive; here every clip is a day of its own.
- The field rounds projected lidar points and subtracts 1, so the calibration counts pixels from 1: the principal point
  in the files is (1, 1) more than that of a :class:`~leadline.camera.Camera`.
- ``calib_velo_to_cam`` leads to camera 0 before rectification; ``R_rect_00`` and then ``P_rect_0x`` follow.
- ``P_rect_02`` and ``P_rect_03`` move points along all three axes, so their z-depth differs by 3 mm from camera 0's.
- Poses are latitude, longitude and angles of the GPS/IMU unit; Mercator's projection at the first packet's latitude
  makes them metres.
- The ground truth of KITTI depth (Uhrig et al., "Sparsity invariant CNNs", 3DV 2017) is uint16, metres x 256, 0
  unknown, beside the days: ``train/DRIVE/proj_depth/groundtruth/image_0x``. Here it is dense, and exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.layout import Layout, codes, known, z_depth
from leadline.geometry.poses import axis_angle_to_matrix, compose, invert, rate_of_change
from leadline.io.atomic import write_text, writing
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
from leadline.rig import FORWARD, Lidar, Mount, Rig, Sweep

FIRST_DAY = date(2011, 9, 26)
#: Calibration of the first day: camera 0 rectified, from camera 0 as it is built in.
R_RECT = np.array([
    [9.999239e-01, 9.837760e-03, -7.445048e-03],
    [-9.869795e-03, 9.999421e-01, -4.278459e-03],
    [7.402527e-03, 4.351614e-03, 9.999631e-01],
])  # fmt: skip
#: Where rectified camera 0's origin lies in each rectified camera's axes, in m.
OFFSETS = {
    "00": np.zeros(3),
    "01": np.array([-0.53715, 0.0, 0.0]),
    "02": np.array([0.05985, -0.00036, 0.00275]),
    "03": np.array([-0.47286, 0.0024, 0.00273]),
}
#: To the body's axes. Heights are KITTI's; the GPS/IMU unit sits 5 cm behind the rear axle.
CAMERA_0 = compose(FORWARD, np.array([1.03, 0.0, 1.65]))
VELODYNE = compose(np.eye(3), np.array([0.76, 0.0, 1.73]))
#: GPS/IMU to Velodyne.
IMU_TO_VELODYNE = compose(np.eye(3), np.array([-0.81, 0.32, -0.8]))

#: Where each clip starts: latitude and longitude in degrees, altitude in m (Karlsruhe).
START = (49.011212804408, 8.4228850417969, 112.83492279053)
#: Of the earth in m, as the development kit has it.
EARTH = 6378137.0
GRAVITY = np.array([0.0, 0.0, 9.81])
OXTS = """\
lat:   latitude of the oxts-unit (deg)
lon:   longitude of the oxts-unit (deg)
alt:   altitude of the oxts-unit (m)
roll:  roll angle (rad), 0 = level, positive = left side up
pitch: pitch angle (rad), 0 = level, positive = front down
yaw:   heading (rad), 0 = east, positive = counter clockwise
vn:    velocity towards north (m/s)
ve:    velocity towards east (m/s)
vf:    forward velocity, i.e. parallel to earth-surface (m/s)
vl:    leftward velocity, i.e. parallel to earth-surface (m/s)
vu:    upward velocity, i.e. perpendicular to earth-surface (m/s)
ax:    acceleration in x, i.e. in direction of vehicle front (m/s^2)
ay:    acceleration in y, i.e. in direction of vehicle left (m/s^2)
az:    acceleration in z, i.e. in direction of vehicle top (m/s^2)
af:    forward acceleration (m/s^2)
al:    leftward acceleration (m/s^2)
au:    upward acceleration (m/s^2)
wx:    angular rate around x (rad/s)
wy:    angular rate around y (rad/s)
wz:    angular rate around z (rad/s)
wf:    angular rate around forward axis (rad/s)
wl:    angular rate around leftward axis (rad/s)
wu:    angular rate around upward axis (rad/s)
pos_accuracy:  position accuracy (north/east in m)
vel_accuracy:  velocity accuracy (north/east in m/s)
navstat:       navigation status
numsats:       number of satellites tracked by primary GPS receiver
posmode:       position mode of primary GPS receiver
velmode:       velocity mode of primary GPS receiver
orimode:       orientation mode of primary GPS receiver
"""
#: The last seven: as good as the unit gets.
STATUS = "0 0 4 10 4 4 0"


class KittiLayout(Layout):
    """KITTI raw with both colour cameras, Velodyne and GPS/IMU, and KITTI depth's ground truth."""

    name = "kitti"
    worlds = ("street",)
    rate = 10.0
    # An HDL-64E: its upper half is finer, a third of a degree against a half.
    lidar = Lidar((*np.linspace(2, -8.33, 32), *np.linspace(-8.83, -24.8, 32)), 2000, VELODYNE, (0.9, 120.0))

    def mounts(self) -> Mapping[str, Mount]:
        """Colour cameras 2 (left, the reference) and 3 (right), as rectified on 2011_09_26."""
        camera = Pinhole(1242, 375, 721.5377, 721.5377, 608.5593, 171.854)
        return {f"image_{key}": Mount(camera, CAMERA_0 @ compose(np.eye(3), -OFFSETS[key])) for key in ("02", "03")}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one drive, on a day of its own; see :meth:`Layout.write_clip`."""
        day = FIRST_DAY + timedelta(number)
        drive = f"{day:%Y_%m_%d}_drive_{number + 1:04d}_sync"
        folder, truth = root / f"{day:%Y_%m_%d}" / drive, root / "train" / drive
        poses, times, cameras = [], [], {}
        for index, rig in enumerate(rigs):
            for name, frame in rig.items():
                cameras[name.removeprefix("image_")] = known(frame.camera)
                write_image(folder / name / "data" / f"{index:010d}.png", frame.image)
                true = truth / "proj_depth" / "groundtruth" / name / f"{index:010d}.png"
                write_raster(true, codes(z_depth(frame) * 256))
            with writing(folder / "velodyne_points" / "data" / f"{index:010d}.bin") as temporary:
                _velodyne(known(rig.sweep)).tofile(temporary)
            poses.append(known(rig.pose) @ VELODYNE @ IMU_TO_VELODYNE)
            times.append(known(rig.time))

        stamps = [_stamp(day, moment) for moment in times]
        for name in ("image_02", "image_03", "velodyne_points", "oxts"):
            _write_lines(folder / name / "timestamps.txt", stamps)
        for name in ("start", "end"):  # of a turn that takes no time: nothing is to be untwisted
            _write_lines(folder / "velodyne_points" / f"timestamps_{name}.txt", stamps)
        _write_lines(folder / "oxts" / "dataformat.txt", OXTS.splitlines())
        for index, packet in enumerate(_packets(np.array(poses), np.array(times))):
            values = " ".join(f"{value + 0:.14g}" for value in packet)  # + 0: no "-0"
            _write_lines(folder / "oxts" / "data" / f"{index:010d}.txt", [f"{values} {STATUS}"])
        _calibrate(folder.parent, cameras)
        return [folder.parent, truth]


def _velodyne(sweep: Sweep) -> np.ndarray:
    """(N, 4) float32, beam after beam, each counter-clockwise from the front: readers find the beams by that."""
    around = np.arctan2(sweep.points[:, 1], sweep.points[:, 0]) % (2 * np.pi)
    order = np.lexsort((around, sweep.beam))
    return np.column_stack([sweep.points, sweep.intensity])[order].astype(np.float32)


def _stamp(day: date, seconds: float) -> str:
    whole, nanoseconds = divmod(round(seconds * 1e9), 10**9)
    return f"{datetime.combine(day, time(13)) + timedelta(seconds=whole):%Y-%m-%d %H:%M:%S}.{nanoseconds:09d}"


def _packets(poses: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(N, 23) numbers of OXTS up to the angular rates, of a unit's poses (N, 4, 4) in a world x east, y north, z up."""
    rotation, position = poses[:, :3, :3], poses[:, :3, 3]
    roll = np.arctan2(rotation[:, 2, 1], rotation[:, 2, 2])
    pitch = np.arcsin(np.clip(-rotation[:, 2, 0], -1, 1))
    yaw = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    level = axis_angle_to_matrix(yaw[:, None] * [0.0, 0.0, 1.0])
    velocity = rate_of_change(position, times)
    force = rate_of_change(velocity, times) + GRAVITY
    turn = np.matrix_transpose(rotation) @ rate_of_change(rotation, times)
    spin = np.stack([turn[:, i, j] - turn[:, j, i] for i, j in ((2, 1), (0, 2), (1, 0))], axis=1) / 2

    def seen_from(axes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        return np.einsum("nij,ni->nj", axes, vectors)

    latitude, longitude, altitude = START
    east, north, up = (position - position[0]).T
    # the devkit's scale is the cosine of the first latitude; its inverse gives back the metres
    east, north = (value / (EARTH * np.cos(np.radians(latitude))) for value in (east, north))
    north += np.log(np.tan(np.radians(90 + latitude) / 2))
    return np.column_stack([
        2 * np.degrees(np.arctan(np.exp(north))) - 90, longitude + np.degrees(east), altitude + up,
        roll, pitch, yaw, velocity[:, 1], velocity[:, 0], seen_from(level, velocity),
        seen_from(rotation, force), seen_from(level, force),
        spin, seen_from(level, np.einsum("nij,nj->ni", rotation, spin)),
    ])  # fmt: skip


def _calibrate(folder: Path, cameras: Mapping[str, Camera]) -> None:
    # the grey cameras were not rendered; they are built like the left colour camera, as KITTI rectifies all alike
    all_cameras = {key: cameras.get(key, cameras["02"]) for key in OFFSETS}
    lines = ["calib_time: 09-Jan-2012 13:57:47", "corner_dist: 9.950000e-02"]
    for key, camera in all_cameras.items():
        size, matrix = np.array([camera.width, camera.height], float), camera.K
        matrix[:2, 2] += 1
        lines += [
            _line(f"S_{key}", size),
            _line(f"K_{key}", matrix),
            _line(f"D_{key}", np.zeros(5)),
            _line(f"R_{key}", np.eye(3)),
            _line(f"T_{key}", R_RECT.T @ OFFSETS[key]),
            _line(f"S_rect_{key}", size),
            _line(f"R_rect_{key}", R_RECT),
            _line(f"P_rect_{key}", matrix @ np.column_stack([np.eye(3), OFFSETS[key]])),
        ]
    _write_lines(folder / "calib_cam_to_cam.txt", lines)
    to_camera = compose(R_RECT.T, np.zeros(3)) @ invert(CAMERA_0) @ VELODYNE
    none = [_line("delta_f", np.zeros(2)), _line("delta_c", np.zeros(2))]
    _write_lines(folder / "calib_velo_to_cam.txt", ["calib_time: 15-Mar-2012 11:37:16", *_motion(to_camera), *none])
    _write_lines(folder / "calib_imu_to_velo.txt", ["calib_time: 25-May-2012 16:47:16", *_motion(IMU_TO_VELODYNE)])


def _motion(pose: np.ndarray) -> list[str]:
    return [_line("R", pose[:3, :3]), _line("T", pose[:3, 3])]


def _line(key: str, values: np.ndarray) -> str:
    return f"{key}: {' '.join(f'{value:.6e}' for value in values.ravel())}"


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))
