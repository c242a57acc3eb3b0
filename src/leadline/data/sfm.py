"""Structure from motion as training data: images with poses and sparse depth, all up to one scale."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from leadline.camera import Camera, Pinhole
from leadline.data.cameras import fitted
from leadline.data.colmap import has_model, read_cameras, read_images, read_points
from leadline.data.dataset import DataSet
from leadline.data.folder import adjacent, numbered
from leadline.data.images import walk
from leadline.data.lidar import project
from leadline.data.lists import FrameId
from leadline.depth import DepthMap, Kind
from leadline.errors import InputError
from leadline.geometry.poses import compose, invert, quaternion_to_matrix
from leadline.io.images import image_size
from leadline.io.inputs import natural_key
from leadline.io.ply import read_ply
from leadline.io.reading import read_numbers, read_text


class Sfm(DataSet):
    """Reconstructions, in a folder or below it, each of which is one of:

    - COLMAP: images in ``images/``, the model (see :mod:`leadline.data.colmap`) in ``sparse/0``, ``sparse`` or the
      folder itself. Of several models in ``sparse`` the first is used.
    - As of EndoscopyDepthEstimation-Pytorch (Liu et al., TMI 2020): ``%08d.jpg``, ``motion.yaml`` with camera-to-world
      poses, ``structure.ply``, ``view_indexes_per_point``, ``visible_view_indexes`` and ``camera_intrinsics_per_view``.
      Where there are ``_filtered`` files they are used. ``undistorted_mask`` is not: in the public sample it lies 131
      px left of the picture and 77 px above it; the mask ``auto`` finds the picture.

    Depth is that of the points which the reconstruction says the view sees, each at the pixel it projects to; the
    nearest stays. Each reconstruction has a scale of its own.
    """

    name = "sfm"
    source = "a reconstruction of one's own"
    splits = {"all": "every image that has a pose"}
    truths = {"points": "sparse z-depth of the reconstructed points, up to scale"}
    tree = {
        "**/images/**/*": "images, of COLMAP",
        "**/cameras.*": "intrinsics, of COLMAP (optional)",
        "**/images.*": "poses and features, of COLMAP (optional)",
        "**/points3D.*": "points, of COLMAP (optional)",
        "**/*.ini": "how COLMAP was run (optional)",
        "**/*.db": "features and matches, of COLMAP (optional)",
        "**/rigs.*": "of COLMAP (optional)",
        "**/frames.*": "of COLMAP (optional)",
        "**/*.jpg": "images (optional)",
        "**/motion.yaml": "camera-to-world poses, quaternions (optional)",
        "**/structure*.ply": "points (optional)",
        "**/camera_intrinsics_per_view": "fx fy cx cy or f cx cy, in pixels (optional)",
        "**/view_indexes_per_point*": "the views of each point, after a -1 (optional)",
        "**/visible_view_indexes*": "the number of the image of each pose (optional)",
        "**/selected_indexes": "the images given to the reconstruction (optional)",
        "**/undistorted_mask.*": "not used (optional)",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        truth: str | None = None,
        mask: str = "none",
        drop_highlights: bool = False,
        every: int = 1,
    ) -> None:
        self._views: dict[FrameId, tuple[_Reconstruction, str]] = {}
        for sequence, reconstruction in _reconstructions(Path(root)).items():
            names = sorted(reconstruction.images, key=natural_key)
            stems = [os.path.splitext(name)[0] for name in names]  # noqa: PTH122
            for id, name in zip(numbered(stems), names, strict=True):
                whole = "/".join(part for part in (sequence, id.sequence) if part)
                self._views[FrameId(whole, id.number)] = reconstruction, name
        self._order = sorted(self._views)
        super().__init__(root, split, truth, mask, drop_highlights, every)

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        del split
        return list(self._views)

    def _view(self, id: FrameId) -> tuple[_Reconstruction, str]:
        if id not in self._views:
            raise InputError(f"{self.root}: has no frame {id}; there are {len(self._views)} images with a pose")
        return self._views[id]

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        reconstruction, name = self._view(id)
        return reconstruction.images[name]

    def depth(self, id: FrameId) -> DepthMap:
        """See :meth:`DataSet.depth`; up to scale, of the points seen."""
        reconstruction, name = self._view(id)
        values = project(reconstruction.seen(name), invert(reconstruction.pose(name)), self.camera(id))
        return DepthMap(values, Kind("depth", "scale"))

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`; fitted where images were resized."""
        reconstruction, name = self._view(id)
        height, width = image_size(self.image(id))
        return reconstruction.camera(name, height, width)

    def pose(self, id: FrameId) -> np.ndarray:
        """See :meth:`DataSet.pose`; in the unit of depth, which is arbitrary."""
        reconstruction, name = self._view(id)
        return reconstruction.pose(name)

    def neighbour(self, id: FrameId, offset: int) -> FrameId | None:
        """See :meth:`DataSet.neighbour`: the next image that has a pose."""
        return adjacent(self._order, id, offset)

    def parse(self, line: str) -> FrameId:
        """The path of an image, or the end of one that no other has."""
        fitting = self._ends.get(line, [])
        if len(fitting) != 1:
            raise InputError(f"{self.root} holds {len(fitting)} images with a pose whose path ends so, not one")
        return fitting[0]

    @cached_property
    def _ends(self) -> dict[str, list[FrameId]]:
        """The frames by every end of their images' paths."""
        ends: dict[str, list[FrameId]] = {}
        for id in self._order:
            parts = self.image(id).parts
            for start in range(len(parts)):
                ends.setdefault("/".join(parts[start:]), []).append(id)
        return ends


class _Reconstruction(ABC):
    """Where the images of one reconstruction are, by name; what is known of them is read when it is needed."""

    images: Mapping[str, Path]

    @abstractmethod
    def camera(self, name: str, height: int, width: int) -> Camera:
        """The camera of an image of this size."""

    @abstractmethod
    def pose(self, name: str) -> np.ndarray:
        """(4, 4) camera-to-world."""

    @abstractmethod
    def seen(self, name: str) -> np.ndarray:
        """(N, 3) the points an image sees, in the world."""


class _Colmap(_Reconstruction):
    def __init__(self, base: Path, model: Path) -> None:
        self.model = model
        self._read = {image.name: image for image in read_images(model)}
        first = next(iter(self._read), "")
        places = [base / "images", base, base.parent / "images", base.parent]
        folder = next((place for place in places if first and (place / first).is_file()), base / "images")
        self.images = {name: folder / name for name in self._read}

    @cached_property
    def _cameras(self) -> dict[int, Camera]:
        return read_cameras(self.model)

    @cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        return read_points(self.model)

    def camera(self, name: str, height: int, width: int) -> Camera:
        key = self._read[name].camera_id
        if key not in self._cameras:
            raise InputError(f"{self.model}: image {name} is of camera {key}, which cameras does not hold")
        return fitted(self._cameras[key], width, height, self.images[name])

    def pose(self, name: str) -> np.ndarray:
        return self._read[name].pose

    def seen(self, name: str) -> np.ndarray:
        ids, places = self._points
        wanted = np.unique(self._read[name].points)
        return places[np.isin(ids, wanted[wanted >= 0])]


class _Endoscopic(_Reconstruction):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = read_numbers(self._file("visible_view_indexes")).astype(int).tolist()
        self.images = {f"{number:08d}.jpg": folder / f"{number:08d}.jpg" for number in self.numbers}
        self._place = {name: place for place, name in enumerate(self.images)}

    def _file(self, name: str) -> Path:
        stem, dot, suffix = name.partition(".")
        filtered = self.folder / f"{stem}_filtered{dot}{suffix}"
        return filtered if filtered.is_file() else self.folder / name

    def camera(self, name: str, height: int, width: int) -> Camera:
        file = self.folder / "camera_intrinsics_per_view"
        numbers, views = self._intrinsics, len(self.numbers)
        for each in (4, 3):
            if numbers.size in (each, each * views):
                own = numbers.reshape(-1, each)[self._place[name] if numbers.size > each else 0].tolist()
                return Pinhole(width, height, own[0], own[-3], own[-2], own[-1])
        raise InputError(
            f"{file}: holds {numbers.size} numbers; wanted are fx fy cx cy or f cx cy, once or for {views} views"
        )

    @cached_property
    def _intrinsics(self) -> np.ndarray:
        return read_numbers(self.folder / "camera_intrinsics_per_view")

    def pose(self, name: str) -> np.ndarray:
        return self._poses[self._place[name]]

    @cached_property
    def _poses(self) -> np.ndarray:
        """(V, 4, 4)."""
        file = self.folder / "motion.yaml"
        try:
            poses = yaml.load(read_text(file), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["poses[]"]
            motions = np.array([
                [float(poses[f"poses[{view}]"][part][axis]) for part, axes in _PARTS for axis in axes]
                for view in range(len(self.numbers))
            ])  # fmt: skip
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}: should hold poses[] of {len(self.numbers)} views, with position and orientation "
                f"({' '.join(str(error).split())})"
            ) from None
        return compose(quaternion_to_matrix(motions[:, 3:]), motions[:, :3])

    def seen(self, name: str) -> np.ndarray:
        points, views = self._structure
        return points[views[:, self._place[name]]]

    @cached_property
    def _structure(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, 3) points and (N, V) bool, which view sees which."""
        points, _ = read_ply(self._file("structure.ply"))
        file = self._file("view_indexes_per_point")
        numbers = read_numbers(file).astype(int)
        starts = numbers < 0
        if not numbers.size or not starts[0] or starts.sum() != len(points):
            raise InputError(f"{file}: should hold a -1 and the views of each of {len(points)} points")
        place = {number: view for view, number in enumerate(self.numbers)}
        views = np.zeros((len(points), len(self.numbers)), bool)
        for point, number in zip(np.cumsum(starts) - 1, numbers.tolist(), strict=True):
            if number in place:
                views[point, place[number]] = True
        return points, views


_PARTS = (("position", "xyz"), ("orientation", "xyzw"))


def _reconstructions(root: Path) -> dict[str, _Reconstruction]:
    """The reconstructions in a folder, by the folder they are in; what lies within another one's is not another."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    models: dict[Path, Path] = {}
    folders = sorted(((folder, set(names)) for folder, names in walk(root)), key=lambda found: natural_key(found[0]))
    for model, names in folders:
        base = model.parent if model.name.isdecimal() and model.parent.name == "sparse" else model
        base = base.parent if base.name == "sparse" and base != root else base
        if names & {"cameras.bin", "cameras.txt"} and has_model(model):
            models.setdefault(base, model)
    found: dict[str, _Reconstruction] = {
        _sequence(root, base): _Colmap(base, model)
        for base, model in models.items()
        if not any(parent in models for parent in base.parents)
    }
    for folder, names in folders:
        if "motion.yaml" in names:
            found[_sequence(root, folder)] = _Endoscopic(folder)
    if not found:
        raise InputError(
            f"{root}: holds no reconstruction; wanted are COLMAP's cameras and images (.bin or .txt) in sparse/0, "
            "sparse or the folder itself, or a motion.yaml"
        )
    return found


def _sequence(root: Path, folder: Path) -> str:
    # Whoever names the model itself has the images beside it.
    return "" if folder == root or folder in root.parents else folder.relative_to(root).as_posix()
