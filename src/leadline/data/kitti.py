"""KITTI raw (Geiger et al., "Vision meets robotics: the KITTI dataset", IJRR 2013) and the ground truth of KITTI depth.

What differs from what one would expect, as the development kit and the field's evaluators have it:

- Calibration belongs to a day, not to a drive; every clip written here is a day of its own.
- The field rounds projected lidar points and subtracts 1, so the calibration counts pixels from 1: the principal point
  in the files is (1, 1) more than that of a :class:`~leadline.camera.Camera`.
- The ground truth of the Eigen split, as monodepth2's ``generate_depth_map`` makes it, is not z-depth: it holds how far
  ahead of the *lidar* a point is (velodyne x), 0.27 m more than the camera's z-depth.
- ``calib_velo_to_cam`` leads to camera 0 before rectification; ``R_rect_00`` and then ``P_rect_0x`` follow.
- ``P_rect_02`` and ``P_rect_03`` move points along all three axes, so their z-depth differs by 3 mm from camera 0's.
- Poses are latitude, longitude and angles of the GPS/IMU unit; Mercator's projection at the first packet's latitude
  makes them metres.
- The ground truth of KITTI depth (Uhrig et al., "Sparsity invariant CNNs", 3DV 2017) is uint16, metres x 256, 0
  unknown, ``train/DRIVE/proj_depth/groundtruth/image_0x``; the first and last five frames of a drive have none. As
  written here it is dense, and exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.cameras import fitted
from leadline.data.dataset import DataSet, metric
from leadline.data.layout import Layout, codes, known, z_depth
from leadline.data.lidar import kept, project, read_points
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.geometry.poses import axis_angle_to_matrix, compose, invert, rate_of_change
from leadline.io.atomic import write_text, writing
from leadline.io.images import image_size, write_image
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_numbers, read_text
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

#: Folders that people keep KITTI depth's ground truth in, below the root.
ANNOTATED = ("train", "val", "depth/train", "depth/val", "data_depth_annotated/train", "data_depth_annotated/val",
             "data_depth_annotated", "gt_depth")  # fmt: skip
#: Frames of which the download has no lidar points.
BLIND = {("2011_09_26/2011_09_26_drive_0009_sync", number) for number in range(177, 181)}
#: The day and drive, and what follows, of a line of a list.
LINE = re.compile(r"(\d{4}_\d\d_\d\d/\w+?_sync)(?:/image_0([23])/data/| +)(\d+)(?:\.\w+)?(?: +([lr23]))?(?: .*)?")


class Kitti(DataSet):
    """Frames of KITTI raw's colour cameras, ``image_02`` and ``image_03``, PNG or JPEG.

    The folder is that of the days, ``2011_09_26`` and so on, each with its ``calib_*.txt``. Images that were made
    smaller keep their calibration. Poses are there where ``oxts`` is, in axes x east, y north, z up, from the place of
    the drive's first packet. KITTI depth's ground truth may lie in ``train`` and ``val`` below the root, or below its
    ``depth``, ``gt_depth`` or ``data_depth_annotated`` (this one also beside the root), or in the drive itself.

    The truth ``velodyne`` is the ground truth of the Eigen split, but for one fault: where several points fall on a
    pixel the field wants the nearest, yet looks for them by a number that the last pixel of a row and the first of the
    next share; in the outermost two columns it may write the nearest of both, or not the nearest. Here each pixel has
    its own nearest.
    """

    name = "kitti"
    source = "KITTI raw: Geiger et al., IJRR 2013; KITTI depth: Uhrig et al., 3DV 2017"
    licence = "CC BY-NC-SA 3.0"
    splits = {
        "eigen-test": "697 images of 28 drives (Eigen et al., NeurIPS 2014)",
        "eigen-improved": "652 of them, those with KITTI depth's ground truth",
        "zhou-train": "39,810 images of both cameras (Zhou et al., CVPR 2017)",
        "zhou-val": "4,424 images beside them",
        "all": "every image of both cameras there is",
    }
    elsewhere = {
        f"zhou-{part}": f"it is splits/eigen_zhou/{part}_files.txt of github.com/nianticlabs/monodepth2, {count} lines"
        for part, count in (("train", "39,810"), ("val", "4,424"))
    }
    counts = {"eigen-test": 697, "eigen-improved": 652, "zhou-train": 39810, "zhou-val": 4424}
    truths = {
        "velodyne": "the Eigen split's: lidar points, their distance ahead of the lidar; sparse",
        "lidar": "the same points with their z-depth from the camera; sparse",
        "annotated": "KITTI depth's ground truth: eleven lidar turns, checked against stereo; semi-dense",
    }
    tree = {
        "*/*_sync/image_0[23]/data/*.[pj][np]g": "colour images",
        "*/*_sync/image_0[01]/data/*.[pj][np]g": "grey images (optional)",
        "*/*_sync/velodyne_points/data/*.bin": "lidar points (optional)",
        "*/*_sync/oxts/data/*.txt": "GPS/IMU packets (optional)",
        "*/*_sync/oxts/dataformat.txt": "what they hold (optional)",
        "*/*_sync/*/timestamps*.txt": "when each was taken (optional)",
        "*/*_sync/tracklet_labels.xml": "labelled objects (optional)",
        "*/calib_cam_to_cam.txt": "calibration of the cameras",
        "*/calib_velo_to_cam.txt": "calibration of the lidar",
        "*/calib_imu_to_velo.txt": "calibration of the GPS/IMU (optional)",
        "**/*_sync/proj_depth/*/image_0[23]/*.png": "ground truth of KITTI depth, 16 bits, m x 256 (optional)",
        "**/depth_selection/**": "what KITTI depth's benchmark validates and tests on (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        if split != "all":
            return self._shipped(split)
        return [
            FrameId(folder.parents[1].relative_to(self.root).as_posix(), number, folder.parent.name)
            for folder in sorted(self.root.glob("*/*_sync/image_0[23]/data"))
            for number in self._images_in(folder)
        ]

    def parse(self, line: str) -> FrameId:
        """``DAY/DRIVE 5 l`` (or ``r``), or ``DAY/DRIVE/image_02/data/0000000005.png``, whatever follows."""
        found = LINE.fullmatch(line.strip())
        if not found:
            raise InputError("is not DAY/DRIVE NUMBER l, nor DAY/DRIVE/image_02/data/NUMBER.png")
        sequence, folder, number, side = found.groups()
        right = folder == "3" or side in ("r", "3")
        return FrameId(sequence, int(number), "image_03" if right else "image_02")

    def _file(self, id: FrameId, sensor: str, suffix: str) -> Path:
        return self.root / id.sequence / sensor / "data" / f"{id.number:010d}{suffix}"

    def _day(self, id: FrameId, name: str) -> Path:
        return self.root / Path(id.sequence).parent / f"calib_{name}.txt"

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        missing = self._file(id, id.camera, ".png")
        return self._images_in(missing.parent).get(id.number, missing)

    def _annotated(self, id: FrameId) -> Path:
        """The ground truth of KITTI depth; where the drive is found nowhere, its place as it is downloaded."""
        day, _, drive = id.sequence.rpartition("/")

        def find() -> Path:
            places = [self.root / folder for folder in (*ANNOTATED, day)]
            places += [self.root.parent / folder for folder in ANNOTATED if folder.startswith("data_depth")]
            there = (place / drive for place in places)
            return next((place for place in there if (place / "proj_depth").is_dir()), self.root / "train" / drive)

        folder = self._once(("annotated", drive), find)
        return folder / "proj_depth" / "groundtruth" / id.camera / f"{id.number:010d}.png"

    def needs(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.needs`."""
        return [self._day(id, "cam_to_cam")]

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`; none of frames that KITTI depth has left out or the lidar did not see."""
        if self.truth == "annotated":
            return [] if _left_out(path := self._annotated(id)) else [path]
        points = [self._file(id, "velodyne_points", ".bin"), self._day(id, "velo_to_cam")]
        return [] if (id.sequence, id.number) in BLIND else points

    def depth(self, id: FrameId) -> DepthMap | None:
        """In m; None where KITTI depth has left the frame out, or it is one of :data:`BLIND`."""
        files = self.depth_files(id)
        if not files:
            return None
        if self.truth == "annotated":
            return metric(read_raster(files[0]) / np.float32(256), "m")
        return lidar_depth(
            files[0],
            [self._day(id, "cam_to_cam"), self._day(id, "velo_to_cam")],
            f"{self.name} {self.truth} {id.camera}",
            self.camera(id),
            lambda: self._to_camera(id),
            ahead=self.truth == "velodyne",
        )

    def _to_camera(self, id: FrameId) -> np.ndarray:
        """(4, 4) Velodyne to the rectified camera."""
        path = self._day(id, "velo_to_cam")
        lidar, cameras = read_calibration(path), self._day(id, "cam_to_cam")
        rectified = read_calibration(cameras)
        return to_rectified(
            entry(rectified, cameras, f"P_rect_{id.camera[-2:]}", 12),
            entry(rectified, cameras, "R_rect_00", 9),
            _rigid(lidar, path),
        )

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`."""
        path, key = self._day(id, "cam_to_cam"), id.camera[-2:]
        values = read_calibration(path)
        width, height = (int(side) for side in entry(values, path, f"S_rect_{key}", 2))
        camera = one_based(entry(values, path, f"P_rect_{key}", 12), width, height)
        height, width = image_size(self.image(id))
        return fitted(camera, width, height, path)

    def pose(self, id: FrameId) -> np.ndarray | None:
        """Of the rectified camera; None for drives without ``oxts``."""
        packet = self._file(id, "oxts", ".txt")
        if not packet.parent.is_dir():
            return None
        first = packet.with_name(f"{0:010d}.txt")
        if not first.is_file():
            first = min(packet.parent.glob("*.txt"), default=packet)
        start, now = _packet(first), _packet(packet)
        # the first packet's latitude sets the scale of the whole drive
        unit = _unit(now, start[0])
        unit[:3, 3] -= _unit(start, start[0])[:3, 3]
        path = self._day(id, "imu_to_velo")
        return unit @ invert(_rigid(read_calibration(path), path)) @ invert(self._to_camera(id))

    def time(self, id: FrameId) -> float:
        """Since the drive's first image; without ``timestamps.txt`` at 10 frames a second."""
        path = self.root / id.sequence / id.camera / "timestamps.txt"
        if not path.is_file():
            return id.number / 10
        stamps = read_text(path).split("\n")
        try:
            return float((np.datetime64(stamps[id.number], "ns") - np.datetime64(stamps[0], "ns")).astype(int)) / 1e9
        except (IndexError, ValueError):
            raise InputError(
                f"{path}: line {id.number + 1} should say when frame {id.number} was taken, "
                "such as 2011-09-26 13:02:25.964389445"
            ) from None


def _left_out(path: Path) -> bool:
    """The drive has ground truth of KITTI depth, this frame has not."""
    return not path.is_file() and path.parent.is_dir()


def lidar_depth(
    points: Path,
    calibration: Sequence[Path],
    about: str,
    camera: Camera,
    to_camera: Callable[[], np.ndarray],
    ahead: bool = False,
) -> DepthMap:
    """Lidar points seen by a camera: their z-depth, or how far ahead of the lidar they are.

    Args:
        points: file of four float32 numbers a point.
        calibration: files that ``to_camera`` reads.
        about: what else it depends on, for the cache.
        camera: which sees them.
        to_camera: gives (4, 4) lidar-to-camera; asked where the map is not in the cache.
        ahead: how far ahead of the lidar, in place of z-depth.

    Raises:
        InputError: a file is missing or wrong.
    """

    def make() -> np.ndarray:
        seen = read_points(points, 4)[:, :3]
        if not ahead:
            return project(seen, to_camera(), camera)
        seen = seen[seen[:, 0] >= 0]
        return project(seen, to_camera(), camera, seen[:, 0])

    return metric(kept([points, *calibration], f"{about} {camera.width}x{camera.height}", make), "m")


def read_calibration(path: Path) -> dict[str, str]:
    """The lines of a calibration file, by what stands before the colon.

    Raises:
        InputError: it is missing.
    """
    return {key.strip(): values for key, _, values in (line.partition(":") for line in read_text(path).splitlines())}


def entry(calibration: Mapping[str, str], path: Path, key: str, count: int) -> np.ndarray:
    """The ``count`` numbers of one line.

    Raises:
        InputError: the file has no such line, or the line holds something else.
    """
    try:
        values = np.array([float(word) for word in calibration[key].split()])
    except (KeyError, ValueError):
        values = np.empty(0)
    if len(values) != count:
        raise InputError(f"{path}: should have a line '{key}:' with {count} numbers")
    return values


def _rigid(calibration: Mapping[str, str], path: Path) -> np.ndarray:
    return compose(entry(calibration, path, "R", 9).reshape(3, 3), entry(calibration, path, "T", 3))


def one_based(projection: np.ndarray, width: int, height: int) -> Pinhole:
    """The camera of 12 numbers, a projection to pixels that are counted from 1."""
    matrix = projection.reshape(3, 4)
    return Pinhole(width, height, *(float(v) for v in (matrix[0, 0], matrix[1, 1], matrix[0, 2] - 1, matrix[1, 2] - 1)))


def to_rectified(projection: np.ndarray, rotation: np.ndarray, lidar: np.ndarray) -> np.ndarray:
    """(4, 4) lidar to a rectified camera, of its projection, camera 0's rectification, and lidar to camera 0."""
    matrix = projection.reshape(3, 4)
    offset = np.linalg.solve(matrix[:, :3], matrix[:, 3])
    return compose(np.eye(3), offset) @ compose(rotation.reshape(3, 3), np.zeros(3)) @ lidar


def _packet(path: Path) -> np.ndarray:
    """(6,) latitude, longitude (degrees), altitude (m), roll, pitch, yaw (rad)."""
    numbers = read_numbers(path)
    if len(numbers) < 6:
        raise InputError(f"{path}: should hold the 30 numbers of a GPS/IMU packet but has {len(numbers)}")
    return numbers[:6]


def _unit(packet: np.ndarray, latitude: float) -> np.ndarray:
    """(4, 4) GPS/IMU unit to a world x east, y north, z up, by Mercator's projection scaled for a latitude."""
    lat, lon, alt, roll, pitch, yaw = packet
    scale = EARTH * np.cos(np.radians(latitude))
    place = np.array([scale * np.radians(lon), scale * np.log(np.tan(np.radians(90 + lat) / 2)), alt])
    x, y, z = np.eye(3)
    return compose(
        axis_angle_to_matrix(yaw * z) @ axis_angle_to_matrix(pitch * y) @ axis_angle_to_matrix(roll * x), place
    )


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
