"""C3VD: colonoscope videos of silicone colons with depth by registration (Bobrow et al., MedIA 2023, arXiv 2206.08903).

Encodings as in the authors' renderer, github.com/DurrLab/C3VD, render/Render.cu.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from leadline.camera import Camera, Omnidirectional
from leadline.data.dataset import DataSet, metric
from leadline.data.images import own_name
from leadline.data.layout import Layout, known, z_depth
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.io.atomic import write_numbers
from leadline.io.images import image_size, write_image
from leadline.io.inputs import natural_key
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_numbers, read_text
from leadline.rig import Mount, Rig

#: Depth at and above this, in mm, is written as this.
FARTHEST = 100.0
#: Flow beyond this, in pixels, is written as this.
FASTEST = 20.0
#: Depth that jumps by more than this part of it from one pixel to the next leaves one surface for another.
JUMP = 0.1

#: The registered videos, and so many of each.
VIDEOS = tuple(
    f"{part}_t{texture}_{video}"
    for part, textures in (
        ("cecum", ("ab", "abc", "a", "ab")),
        ("desc", ("", "", "", "a")),
        ("sigmoid", ("a", "a", "ab", "")),
        ("trans", ("ab", "abc", "ab", "ab")),
    )
    for texture, videos in enumerate(textures, 1)
    for video in videos
)


#: Frames a second.
RATE = 30.0
#: The Olympus CF-HQ190L of the first release.
CAMERA = Omnidirectional(
    1350,
    1080,
    cx=678.544839263292,
    cy=542.975887548343,
    a0=769.243600037458,
    a2=-0.000812770624150226,
    a3=6.25674244578925e-07,
    a4=-1.19662182144280e-09,
    c=0.999986882249990,
    d=0.00288273829525059,
    e=-0.00296316513429569,
)
#: Parts of the colon, as the first release calls them and as the second one does.
PARTS = {"cecum": "cecum", "desc": "descending", "sigmoid": "sigmoid", "trans": "transverse"}


class C3vd(DataSet):
    """Frames of C3VD and C3VDv2 (Golhar et al., arXiv 2506.24074), see :class:`C3vdLayout` for the encodings.

    The folder is that of all videos, of their kinds (``registered_videos``), or one video. Of each video are read:

    - first release: ``N_color.png`` or ``%04d_color.png``, ``%04d_depth.tiff``, ``pose.txt``;
    - second release: the same in ``rgb/%04d.png`` and ``depth``. Videos are called ``c1_cecum_t1_v1``, and those of the
      first one ``c0_cecum_t2_v1`` for ``cecum_t2_a``; lists find both.

    Videos that were not registered, of deformation and of screening, have images, and poses where the camera moved. A
    ``camera_intrinsics.txt`` in a video's folder or above, up to the root, is believed: a name and a number for each
    parameter of the model; else the camera is :data:`CAMERA`, resized to the image. Normals and flow are not read.
    """

    name = "c3vd"
    source = "C3VD: Bobrow et al., MedIA 2023; C3VDv2: Golhar et al., arXiv 2506.24074"
    licence = "CC BY-NC-SA 4.0 (C3VDv2's own videos CC BY 4.0)"
    splits = {
        "registered": "every frame that has depth; 10,015 of 22 videos in the first release",
        "pdc-test": "1171 frames of three videos, the test list of PDC-Depth",
        "pdc-rest": "every frame that has depth of the other videos, to train on",
        "all": "every frame of every video",
    }
    counts = {"registered": 10015, "pdc-test": 1171}
    truths = {"rendered": "z-depth of the registered model, below 100 mm"}
    tree = {
        "**/*_color.png": "images, first release (optional)",
        "**/rgb/????.png": "images, second release (optional)",
        "**/????_depth.tiff": "depth, 16 bits, 65535 for 100 mm; both ends unknown (missing of videos not registered)",
        "**/????_normals.tiff": "normals, 16 bits (optional)",
        "**/????_flow.tiff": "flow to the frame before, 16 bits (optional)",
        "**/????_occlusion.*": "what hides something (optional)",
        "**/????_diffuse.png": "diffuse reflection (optional)",
        "**/pose.txt": "4x4 camera-to-world of every frame, mm, column by column (optional)",
        "**/coverage_mesh.*": "the model, and what of it is seen (optional)",
        "**/camera_intrinsics.txt": "parameters of the camera (optional)",
        "README*": "what the authors say (optional)",
        "*.xlsx": "what is in each video (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        if split == "pdc-test" and self._videos:
            return [replace(id, sequence=self._called(id.sequence)) for id in self._shipped(split)]
        tested = {self._called(id.sequence) for id in self._shipped("pdc-test")} if split == "pdc-rest" else set()
        return [
            FrameId(name, number)
            for name in self._videos
            if split == "all" or (self._registered(name) and name not in tested)
            for number in self._images(name)
        ]

    @cached_property
    def _videos(self) -> dict[str, Path]:
        """Folders of videos by their names."""
        found = {
            path.parent
            for deep in ("", "*/", "*/*/")
            for file in ("pose.txt", "rgb")
            for path in self.root.glob(deep + file)
        }
        return {own_name(path): path for path in sorted(found, key=natural_key)}

    def _called(self, name: str) -> str:
        """What a video of the first release is called here."""
        old = re.fullmatch(r"([a-z]+)_t(\d)_([a-c])", name)
        new = re.fullmatch(r"c0_([a-z]+)_t(\d)_v([1-3])", name)
        other = name
        if old and old[1] in PARTS:
            other = f"c0_{PARTS[old[1]]}_t{old[2]}_v{'abc'.index(old[3]) + 1}"
        elif new:
            part = next((short for short, full in PARTS.items() if full == new[1]), new[1])
            other = f"{part}_t{new[2]}_{'abc'[int(new[3]) - 1]}"
        return other if name not in self._videos and other in self._videos else name

    def _folder(self, name: str) -> Path:
        return self._videos.get(name, self.root / name)

    def _images(self, name: str) -> dict[int, Path]:
        """Images of a video by their numbers."""
        folder = self._folder(name)
        return self._images_in(folder, ending="_color") or self._images_in(folder / "rgb")

    def _registered(self, name: str) -> bool:
        """Whether a video has depth; one that is not there should have."""

        def look() -> bool:
            folder = self._videos.get(name)
            return not folder or (folder / "depth").is_dir() or any(True for _ in folder.glob("*_depth.tiff"))

        return self._once(("registered", name), look)

    def parse(self, line: str) -> FrameId:
        """``cecum_t2_a 0001 l``, ``cecum_t2_a/0001_color.png`` or ``c1_cecum_t1_v1/rgb/0001.png`` in any folder."""
        match = re.fullmatch(r"(?:\S*/)?([^\s/]+)[/\s]+(\d+)(?:_color)?(?:\.png)?(?:\s+l)?", line.replace("/rgb/", "/"))
        if not match:
            raise InputError("is not 'cecum_t2_a 0001 l', nor cecum_t2_a/0001_color.png")
        return FrameId(self._called(match[1]), int(match[2]))

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        return self._images(id.sequence).get(id.number, self._folder(id.sequence) / f"{id.number:04d}_color.png")

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        if not self._registered(id.sequence):
            return []
        own = self._folder(id.sequence) / "depth"
        return [(own if own.is_dir() else own.parent) / f"{id.number:04d}_depth.tiff"]

    def depth(self, id: FrameId) -> DepthMap | None:
        """In mm, below 100; None of videos that were not registered."""
        files = self.depth_files(id)
        if not files:
            return None
        values = read_raster(files[0])
        return metric(values * np.float32(FARTHEST / 65535), "mm", values < 65535)

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`."""
        height, width = image_size(self.image(id))
        return self._once(("camera", id.sequence), lambda: self._lens(id.sequence)).resize(height, width)

    def _lens(self, name: str) -> Omnidirectional:
        folder = self._folder(name)
        for place in (folder, *folder.parents):
            if (file := place / "camera_intrinsics.txt").is_file():
                return _intrinsics(file)
            if place == self.root:
                break
        return CAMERA

    def pose(self, id: FrameId) -> np.ndarray | None:
        """See :meth:`DataSet.pose`, in mm; matrices that are stored row by row are told by their last column."""
        file = self._folder(id.sequence) / "pose.txt"

        def read() -> np.ndarray | None:
            poses = read_numbers(file, (-1, 4, 4)) if file.is_file() else None
            return poses if poses is None or poses[:, :3, 3].any() else poses.swapaxes(1, 2)

        poses = self._once(file, read)
        if poses is None:
            return None
        if id.number >= len(poses):
            raise InputError(f"{file}: has {len(poses)} lines, none for frame {id.number}")
        return poses[id.number]

    def time(self, id: FrameId) -> float:
        """At 30 frames a second."""
        return id.number / RATE


def _intrinsics(file: Path) -> Omnidirectional:
    """Of a text with a name and a number for each parameter."""
    text, names = read_text(file), ("width", "height", "cx", "cy", "a0", "a2", "a3", "a4", "c", "d", "e")
    found = {name: re.search(rf"\b{name}\b\W*?([-+]?\.?\d[\d.]*(?:[eE][-+]?\d+)?)", text) for name in names}
    values = {name: float(match[1]) for name, match in found.items() if match}
    if len(values) < len(names):
        raise InputError(
            f"{file}: should hold a number for each of {', '.join(names)}; "
            "without the file the camera is that of the first release"
        )
    return Omnidirectional(int(values.pop("width")), int(values.pop("height")), **values)


class C3vdLayout(Layout):
    """A folder for each video, called as the real ones; after those 22 the names start again with ``_2``.

    - ``N_color.png``, the number without leading zeros (other releases have four digits).
    - ``%04d_depth.tiff``: 16 bits, z-depth, 65535 for 100 mm; 0 is unknown, and 65535 is 100 mm or more.
    - ``%04d_normals.tiff``: 16 bits, x y z in camera axes from -1 to 1 as 0 to 65535; 0 0 0 where nothing is seen.
    - ``%04d_flow.tiff``: 16 bits, from this frame to the one *before* it, so the first frame has none; x y from -20 to
      20 pixels as 0 to 65535, the third channel 0; 0 0 where it is not seen there.
    - ``%04d_occlusion.png``: 255 where something else lies behind what is seen, within 100 mm.
    - ``pose.txt``: a line for each frame, 16 numbers, the camera-to-world matrix in mm *column* by column: read row by
      row it is the transposed one, for points that are rows.

    The lens is Scaramuzza's model; its parameters are published beside the videos, not in them. A frame does not tell
    what is behind the surface it shows, so the occlusion marks only pixels next to what they hide, at jumps of depth.
    """

    name = "c3vd"
    worlds = ("tract",)
    rate = RATE
    flow = True

    def mounts(self) -> Mapping[str, Mount]:
        """The colonoscope: 1350x1080."""
        return {"camera": Mount(CAMERA, np.eye(4))}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one video.

        Args:
            root: gets the videos' folders.
            number: of the video, from 0.
            rigs: of :meth:`mounts`.

        Returns:
            The video's folder.

        Raises:
            InputError: a file cannot be written.
        """
        lap, video = divmod(number, len(VIDEOS))
        folder, poses = root / (VIDEOS[video] + (f"_{lap + 1}" if lap else "")), []
        for index, rig in enumerate(rigs):
            frame = rig["camera"]
            depth = z_depth(frame)
            depth = np.where(np.isfinite(depth), depth, 0)
            write_image(folder / f"{index}_color.png", frame.image)
            write_raster(folder / f"{index:04d}_depth.tiff", _codes(depth, 0, FARTHEST))
            normals = np.where(depth[..., None] > 0, known(frame.normals), -1)
            write_raster(folder / f"{index:04d}_normals.tiff", _codes(normals, -1, 1))
            write_raster(folder / f"{index:04d}_occlusion.png", _occlusion(depth))
            if index:
                flow = known(frame.backward_flow)
                flow = np.where(np.isfinite(flow), flow, -FASTEST)
                codes = _codes(flow, -FASTEST, FASTEST)
                write_raster(folder / f"{index:04d}_flow.tiff", np.dstack((codes, np.zeros_like(codes[..., 0]))))
            poses.append(known(frame.pose).T.ravel())
        write_numbers(folder / "pose.txt", poses, between=",")
        return [folder]


def _codes(values: np.ndarray, least: float, most: float) -> np.ndarray:
    """16 bits, cut off like the real ones: whatever is below ``most`` stays below the code for it."""
    return (65535 * np.clip((values - least) / (most - least), 0, 1)).astype(np.uint16)


def _occlusion(depth: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of a depth, 0 where unknown."""
    around = np.pad(depth, 1, mode="edge")
    beside = np.stack((around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]))
    hides = (depth > 0) & (beside > depth * (1 + JUMP)) & (beside <= FARTHEST)
    return np.where(hides.any(axis=0), np.uint8(255), np.uint8(0))
