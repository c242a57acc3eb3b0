"""Rigs, one instant after the other: of a folder of one's own with ``rig.yaml``, or of a data set."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from leadline.camera import Camera
from leadline.data.cameras import fitted
from leadline.data.dataset import DataSet
from leadline.data.images import own_name
from leadline.errors import ConfigError, InputError, suggest
from leadline.frame import Frame
from leadline.geometry.poses import compose, quaternion_to_matrix
from leadline.io.images import image_size, read_image
from leadline.io.inputs import VIDEO_SUFFIXES, ImageInput, VideoInput, find_inputs, natural_key
from leadline.io.reading import read_json, read_text
from leadline.io.video import VideoReader
from leadline.rig import Mount, Rig

#: What makes a folder a rig; the first that is there is read.
RIG_FILES = ("rig.yaml", "rig.json")


class Instant(NamedTuple):
    """What the cameras of a rig saw at one instant.

    Args:
        sequence: what it belongs to, as a path.
        name: unique within the sequence.
        rig: the cameras that could be read; None where none could.
        problems: what is left out and why, a line each.
    """

    sequence: str
    name: str
    rig: Rig | None
    problems: Sequence[str]


class _Seat(NamedTuple):
    """A camera in its place, and what it took: a video, or pictures by name."""

    mount: Mount
    video: Path | None
    pictures: dict[str, Path]


class RigFolder:
    """A rig in a folder: ``rig.yaml`` (or ``rig.json``) says which cameras there are::

        cameras:
          front:
            images: front.mp4
            camera: {model: pinhole, width: 1600, height: 900, fx: 1266, fy: 1266, cx: 816, cy: 491}
            pose: {rotation: [0.5, -0.5, 0.5, -0.5], translation: [1.7, 0.0, 1.5]}
          left: {images: left/, camera: left.yaml, pose: [[...], [...], [...], [0, 0, 0, 1]]}

    - ``images``: a video, or a folder of pictures; by default the folder, else the video, called like the camera.
    - ``camera``: the keys of :meth:`leadline.camera.Camera.from_dict`, or a file :meth:`~leadline.camera.Camera.load`
      reads; fitted to the size of the images.
    - ``pose``: camera-to-body in metres, a 4x4 matrix, or ``rotation``, a unit quaternion w x y z, and ``translation``.
      The camera's axes are OpenCV's; the body's x forward, y left, z up, as of :class:`leadline.rig.Mount`.

    Paths are relative to the folder. Pictures that are called alike in all folders belong together, and one that is not
    there is missing; where no name is in all of them they belong together in order, and folders must hold as many.
    Videos go in lockstep, frame by frame, with each other and with pictures.

    Iterating gives an :class:`Instant` after the other, read when it is asked for, any number of times. The body is the
    world: ``rig.pose`` is the identity, poses of frames are camera-to-body. A picture that cannot be read leaves its
    camera out of that instant; a video that ends or breaks off before the others ends its camera, with one report.

    Args:
        root: the folder.

    Attributes:
        mounts: the cameras by name, fitted to the first image, and where they sit.

    Raises:
        InputError: there is no such file, it or what it names cannot be read, a pose is no rigid motion, or it is not
            known which pictures belong together.
        ConfigError: a key is unknown or missing, or has an impossible value.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.name = own_name(self.root)
        self.file = _rig_file(self.root)
        seats = {}
        for name, given in _cameras(self.file).items():
            try:
                seats[name] = _seat(self.root, name, given)
            except (InputError, ConfigError) as error:
                raise type(error)(f"{self.file}: cameras.{name}: {error}") from None
        self.mounts = {name: seat.mount for name, seat in seats.items()}
        self._videos = {name: seat.video for name, seat in seats.items() if seat.video}
        self._pictures, names = _aligned({name: seat.pictures for name, seat in seats.items() if seat.pictures})
        #: Of the instants, where pictures have names in common and no video goes on without them.
        self._names = [] if self._videos else names
        counts = {name: len(paths) for name, paths in self._pictures.items()}
        if not self._videos and len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise InputError(
                f"{self.file}: which pictures belong together is not known: no name is in the folders of all cameras, "
                f"and they hold different numbers of them ({listed}); call those of one instant alike"
            )

    def __iter__(self) -> Iterator[Instant]:
        with ExitStack() as stack:
            running = {name: stack.enter_context(closing(self._views(name))) for name in self.mounts}
            for number in itertools.count():
                instant = self._names[number] if number < len(self._names) else f"{number:06d}"
                frames: dict[str, Frame] = {}
                ended: list[str] = []
                problems: list[str] = []
                for name, views in list(running.items()):
                    try:
                        view = next(views, None)
                    except InputError as error:  # of a video that breaks off
                        problems.append(str(error))
                        del running[name]
                        continue
                    if view is None:
                        ended.append(name)
                        del running[name]
                        continue
                    try:
                        frames[name] = self._frame(name, instant, view)
                    except InputError as error:
                        problems.append(str(error))
                if running:
                    problems += [f"{self.root}: {name} ends after {number} instants, others go on" for name in ended]
                elif not problems:
                    return
                yield Instant(self.name, instant, Rig(frames, np.eye(4)) if frames else None, problems)

    def _views(self, name: str) -> Generator[Path | np.ndarray, None, None]:
        """What a camera took: files of pictures, or frames of its video, (H, W, 3) uint8."""
        if name in self._videos:
            with VideoReader(self._videos[name]) as reader:
                yield from reader
        else:
            yield from self._pictures[name]

    def _frame(self, name: str, instant: str, view: Path | np.ndarray) -> Frame:
        image = read_image(view) if isinstance(view, Path) else view
        file = view if isinstance(view, Path) else self._videos[name]
        camera = fitted(self.mounts[name].camera, image.shape[1], image.shape[0], file)
        return Frame(
            np.divide(image, np.float32(255), dtype=np.float32),
            camera=camera, pose=self.mounts[name].pose, sequence=f"{self.name}/{name}", name=instant,
        )  # fmt: skip


def is_rig(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a file that makes it a rig."""
    return any((Path(folder) / name).is_file() for name in RIG_FILES)


def dataset_instants(data: DataSet) -> Iterator[Instant]:
    """What several cameras of a data set saw, instant by instant, in its order.

    Args:
        data: with truth ``none`` only what is needed is read.

    Raises:
        ConfigError: its frames are of one camera each.
    """
    together = data.instants()
    if max(map(len, together)) < 2:
        raise ConfigError(
            f"dataset: {data.root} holds no instant that several cameras of {data.name} saw; "
            "give its images without --dataset"
        )
    return (_instant(data, indices) for indices in together)


def _instant(data: DataSet, indices: Sequence[int]) -> Instant:
    id = data.ids[indices[0]]
    sequence = "/".join(part for part in (own_name(data.root), id.sequence) if part)
    rig, problems = data.readable_rig(indices)
    return Instant(sequence, f"{id.number:06d}", rig, problems)


def _rig_file(root: Path) -> Path:
    for name in RIG_FILES:
        if (root / name).is_file():
            return root / name
    raise InputError(f"{root}: no {' or '.join(RIG_FILES)} in this folder, which makes it a rig")


def _cameras(file: Path) -> dict[str, Any]:
    """What a rig file says of each camera, by name."""
    try:
        content = read_json(file) if file.suffix == ".json" else yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise InputError(f"{file}: is not YAML: {' '.join(str(error).split())}") from None
    try:
        cameras = _checked(content, ["cameras"])["cameras"]
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    if not isinstance(cameras, Mapping) or not cameras:
        raise ConfigError(f"{file}: cameras: names no camera; wanted NAME: {{images, camera, pose}} for each")
    for name in map(str, cameras):  # they name folders of what is written
        if Path(name).name != name or name == "..":
            raise ConfigError(f"{file}: cameras: {name!r} cannot be the name of a folder, so it cannot be a camera's")
    return {str(name): given for name, given in cameras.items()}


def _checked(given: Any, keys: Sequence[str], optional: Collection[str] = ()) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"wanted the keys {', '.join(keys)}, not {given!r:.80}")
    for key in given:
        if key not in keys:
            raise ConfigError(f"{key}: not a key{suggest(str(key), keys)} ({', '.join(keys)})")
    for key in keys:
        if key not in given and key not in optional:
            raise ConfigError(f"{key}: missing; wanted {', '.join(keys)}")
    return given


def _seat(root: Path, name: str, given: Any) -> _Seat:
    given = _checked(given, ["images", "camera", "pose"], optional=["images"])
    inputs = find_inputs([root / str(given["images"]) if "images" in given else _called(root, name)])
    pictures = {item.name: item.path for item in inputs if isinstance(item, ImageInput)}
    videos = [Path(str(item.source)) for item in inputs if isinstance(item, VideoInput)]
    if len(videos) > 1 or (videos and pictures):
        raise InputError(
            f"images: {len(videos)} videos and {len(pictures)} pictures; a camera has one video, or pictures"
        )
    height, width = _size(videos[0] if videos else None, list(pictures.values()))
    try:
        if isinstance(given["camera"], Mapping):
            camera = Camera.from_dict(given["camera"]).fit(width, height)
        else:
            camera = Camera.load(root / str(given["camera"]), width, height)
    except (InputError, ConfigError) as error:
        raise type(error)(f"camera: {error}") from None
    return _Seat(Mount(camera, _pose(given["pose"])), videos[0] if videos else None, pictures)


def _called(root: Path, name: str) -> Path:
    """The folder, else the video, called like a camera."""
    if (root / name).is_dir():
        return root / name
    for suffix in (".mp4", *sorted(VIDEO_SUFFIXES)):
        if (root / f"{name}{suffix}").is_file():
            return root / f"{name}{suffix}"
    raise InputError(f"images: there is no folder and no video called {name} in {root}; say where they are")


def _size(video: Path | None, pictures: Sequence[Path]) -> tuple[int, int]:
    """Height and width of the first image that can be read."""
    if video is not None:
        with VideoReader(video) as reader:
            return reader.size
    problem = None
    for path in pictures:
        try:
            return image_size(path)
        except InputError as error:
            problem = problem or error
    raise InputError(f"images: none of {len(pictures)} pictures can be read; the first: {problem}")


def _pose(value: Any) -> np.ndarray:
    """(4, 4) camera-to-body."""
    try:
        if isinstance(value, Mapping):
            parts = _checked(value, ["rotation", "translation"])
            turn, place = np.array(parts["rotation"], float), np.array(parts["translation"], float)
            if turn.shape != (4,) or place.shape != (3,) or not abs(np.linalg.norm(turn) - 1) < 1e-2:
                raise ValueError
            pose = compose(quaternion_to_matrix(np.roll(turn, -1)), place)
        else:
            pose = np.array(value, float)
        Frame(np.zeros((1, 1, 3)), pose=pose)  # refuses what is no rigid motion
    except ConfigError as error:
        raise ConfigError(f"pose: {error}") from None
    except (TypeError, ValueError, InputError):
        raise InputError(
            "pose: is no rotation and translation; wanted camera-to-body as the four rows of a 4x4 matrix, last "
            "0 0 0 1, or as rotation: [w, x, y, z], of length 1, and translation: [x, y, z] in metres"
        ) from None
    return pose


def _aligned(pictures: Mapping[str, Mapping[str, Path]]) -> tuple[dict[str, list[Path]], list[str]]:
    """The pictures of each camera, those of one instant at one place, and the names they share, if they share any.

    Where a name is in all folders, names that are in some are missing in the others: there the file is one that
    would be there.
    """
    names = sorted({name for files in pictures.values() for name in files}, key=natural_key)
    if not any(all(name in files for files in pictures.values()) for name in names):
        return {camera: list(files.values()) for camera, files in pictures.items()}, []
    aligned = {}
    for camera, files in pictures.items():
        like = next(iter(files.values()))
        aligned[camera] = [files.get(name, like.with_name(f"{name}{like.suffix}")) for name in names]
    return aligned, names
