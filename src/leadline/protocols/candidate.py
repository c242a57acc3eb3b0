"""What a protocol judges: a model that is asked, or predictions that were made elsewhere."""

from __future__ import annotations

import functools
import shutil
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from leadline.camera import Camera
from leadline.data.dataset import DataSet
from leadline.data.lists import FrameId, in_videos
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.io.depth_files import DEPTH_SUFFIXES
from leadline.rig import Rig

#: Instants of rigs whose answers are kept: frames of so many may be judged at a time.
AT_ONCE = 16
Predict = Callable[[np.ndarray], DepthMap]
PredictCalibrated = Callable[[np.ndarray, Camera | None], DepthMap]
Watch = Callable[[Iterable[np.ndarray]], Iterator[tuple[np.ndarray, DepthMap]]]


@dataclass(frozen=True)
class Candidate:
    """Who answers.

    Args:
        name: in tables and files.
        answer: gives the depth map of a frame, of the size of its image; it must not look at the frame's depth.
        parallel: may be asked by several threads at once.
    """

    name: str
    answer: Callable[[FrameId, Frame], DepthMap]
    parallel: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __call__(self, id: FrameId, frame: Frame) -> DepthMap:
        """The answer, one at a time unless it may be asked in parallel."""
        if self.parallel:
            return self.answer(id, frame)
        with self._lock:
            return self.answer(id, frame)


def asked(name: str, predict: Predict, parallel: bool = False) -> Candidate:
    """A model that only looks at the image (H, W, 3) in [0, 1]."""
    return Candidate(name, lambda _, frame: predict(frame.image), parallel)


def calibrated(name: str, predict: PredictCalibrated, parallel: bool = False) -> Candidate:
    """A model that is told the camera, too, where it is known."""
    return Candidate(name, lambda _, frame: predict(frame.image, frame.camera), parallel)


def watched(name: str, watch: Watch, data: DataSet) -> Candidate:
    """A model that sees video: each video of the data, of the frames that are judged, is shown to it whole and in order
    when the first of its frames is asked about. Where much is left out between two frames, another video begins.
    Answers, of whole images, wait in a temporary folder.

    Args:
        name: in tables and files.
        watch: gives each image of a video, lazily, with its depth map.
        data: what is judged.
    """
    folder = Path(tempfile.mkdtemp(prefix="leadline-watched-"))
    videos = {id: video for video in in_videos(data.ids) for id in video}
    # Of a video, by its first frame: what its maps mean, or what went wrong.
    outcomes: dict[FrameId, tuple[Kind, str] | InputError] = {}

    def file(id: FrameId) -> Path:
        return folder / f"{str(id).replace('/', '-')}.npy"

    def answer(id: FrameId, _: Frame) -> DepthMap:
        video = videos[id]
        if video[0] not in outcomes:
            try:
                outcomes[video[0]] = shown(video)
            except InputError as error:  # it is the same for every frame, and found out once
                outcomes[video[0]] = error
        outcome = outcomes[video[0]]
        if isinstance(outcome, InputError):
            raise InputError(f"{id}: its video cannot be watched: {outcome}")
        return DepthMap(np.load(file(id), allow_pickle=False), *outcome)

    def shown(video: Sequence[FrameId]) -> tuple[Kind, str]:
        maps = watch(data.load(each).image for each in video)
        for each, (_, depth) in zip(video, maps, strict=True):
            try:
                np.save(file(each), np.where(depth.valid, depth.values, np.float32(np.nan)))
            except OSError as error:
                raise ConfigError(
                    f"{folder}: cannot keep the answers to a video ({error.strerror}); TMPDIR names another place"
                ) from None
        return depth.kind, depth.unit

    weakref.finalize(answer, shutil.rmtree, folder, ignore_errors=True)
    return Candidate(name, answer)


def surrounded(name: str, look: Callable[[Rig], Mapping[str, DepthMap]], data: DataSet) -> Candidate:
    """A model that sees rigs: what all cameras saw at an instant is shown to it together, when the first of them is
    asked about.

    Args:
        name: in tables and files.
        look: gives the depth map of every camera of a rig, by its name.
        data: what is judged.
    """
    instants = {data.ids[index]: tuple(instant) for instant in data.instants() for index in instant}

    @functools.lru_cache(maxsize=AT_ONCE)
    def seen(instant: tuple[int, ...]) -> Mapping[str, DepthMap]:
        rig, problems = data.readable_rig(instant)
        if rig is None:
            raise InputError(problems[0])
        return look(rig)

    return Candidate(name, lambda id, _: seen(instants[id])[id.camera])


def made_elsewhere(path: Path, data: DataSet, kind: str | None = None, unit: str = "arbitrary") -> Candidate:
    """Predictions in files, whoever made them, of the whole image or of what a protocol shows of it, at any size.

    Args:
        path: a folder with a file for each frame, of any suffix of depth files, called as results call the frame
            (``SEQUENCE/CAMERA/000012``, slashes as folders or as ``-``), or as its image, with its folders or, where
            no two images have one name, without; or one ``.npy`` file (N, H, W) of the split's frames in their order,
            as evaluators of the field write them.
        data: what was predicted.
        kind: of the predictions, such as ``scale-invariant-disparity``; files that leadline wrote say it themselves.
        unit: of metric kinds.

    Raises:
        InputError: there is no such folder, nothing says what the numbers are, or the array has another number of
            frames.
    """
    if path.suffix == ".npy" and path.is_file():
        return _from_array(path, data, kind, unit)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder of predictions, nor an .npy file of them")
    stems = Counter(image.stem for image in data.paths)

    def names(id: FrameId) -> Iterator[str]:
        yield from (str(id), str(id).replace("/", "-"))
        image = data.image(id)
        if image.is_relative_to(data.root):
            yield image.relative_to(data.root).with_suffix("").as_posix()
        if stems[image.stem] == 1:
            yield image.stem

    def answer(id: FrameId, _: Frame) -> DepthMap:
        for name in names(id):
            for suffix in DEPTH_SUFFIXES:
                if (file := path / f"{name}{suffix}").is_file():
                    return DepthMap.load(file, kind=kind, unit=unit)
        raise InputError(f"{path}/{id}.npz: no prediction of this frame, nor with one of {' '.join(DEPTH_SUFFIXES)}")

    return Candidate(path.name, answer, parallel=True)


def _from_array(path: Path, data: DataSet, kind: str | None, unit: str) -> Candidate:
    if kind is None:
        raise InputError(f"{path}: does not say what its numbers are; give --kind, such as scale-invariant-disparity")
    try:
        maps = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: is not a plain array ({error})") from None
    if maps.ndim != 3 or len(maps) != len(data) or maps.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: holds {maps.dtype} {maps.shape}, not numbers ({len(data)}, height, width) for the frames of the "
            "split"
        )
    places = {id: place for place, id in enumerate(data.ids)}
    parsed = Kind.parse(kind)
    return Candidate(path.stem, lambda id, _: DepthMap(np.array(maps[places[id]]), parsed, unit), parallel=True)
