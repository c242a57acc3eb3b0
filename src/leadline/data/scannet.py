"""ScanNet (Dai et al., CVPR 2017): RGB-D clips of rooms, as its public SensReader exports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.cameras import pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.layout import Layout, codes, known, z_depth
from leadline.data.lists import FrameId
from leadline.data.transforms import nearest_pixels
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.io.atomic import write_numbers, write_text
from leadline.io.images import image_size, opening, write_image
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_numbers
from leadline.rig import Mount, Rig

#: Where scenes may lie below the data set's folder.
TOPS = ("scans", "scans_test", "")
#: Splits that the writer below makes, and what it calls them.
LISTS = {"reflection": "Reflection", "no-reflection": "NoReflection"}

#: Width and height of colour images.
SIZE = (1296, 968)
#: Part of an image that mirrors, glass and highlights cover, from which its triplet is one of reflections.
REFLECTIVE = 0.05
#: Least distance in m from a triplet's source cameras to its reference: less and there is no parallax to learn from.
BASELINE = 0.1


class ScanNet(DataSet):
    """Frames of ScanNet, see :class:`ScanNetLayout` for the files of a scene.

    Scenes are looked for in ``scans``, ``scans_test`` and the folder itself, so that the ``scannet_frames_25k`` subset
    (``color/000000.jpg``, ``intrinsics_color.txt`` in the scene's folder) and Marigold's 800 frames (only ``color`` and
    ``depth``; no camera, no pose) are read as well. A frame's number is that of its file.

    Depth comes from a camera of its own, beside the colour camera and with half its pixels; as everybody does, it is
    taken to show the same picture, and brought to the colour image's size by the nearest pixel.
    """

    name = "scannet"
    source = "ScanNet: Dai et al., CVPR 2017"
    licence = "non-commercial research (ScanNet terms of use)"
    splits = {
        "marigold": "the 800 frames of 312 validation scenes that Marigold and its successors test on",
        "reflection-test": "3D Distillation (Shi et al., ICCV 2023): references that show reflections, to test on",
        "reflection-val": "the same, to validate on",
        "no-reflection-val": "references without reflections, to validate on",
        "reflection": "the references of splits/ScanNet-Reflection.txt, as leadline synth writes it",
        "no-reflection": "the references of splits/ScanNet-NoReflection.txt, likewise",
        "test": "every frame of the official test scenes, 0707 to 0806",
        "train": "every frame of the official training and validation scenes, 0000 to 0706",
        "all": "every frame there is",
    }
    elsewhere = {
        "marigold": "it is data_split/scannet_depth/scannet_val_sampled_list_800_1.txt of github.com/prs-eth/Marigold, "
        "800 lines",
        **dict.fromkeys(
            ("reflection-test", "reflection-val", "no-reflection-val"),
            "ask the authors of 3D Distillation (ICCV 2023) for it; a line is SCENE REFERENCE SOURCE SOURCE",
        ),
    }
    counts = {"marigold": 800}
    truths = {"sensor": "z-depth of the depth camera, at the colour image's size"}
    tree = {
        "**/scene????_??/color/*.[pj][np]g": "colour images",
        "**/scene????_??/depth/*.png": "depth, 16 bits, mm; 0 unknown",
        "**/scene????_??/pose/*.txt": "4x4 camera-to-world, m; -inf where tracking was lost (optional)",
        "**/scene????_??/intrinsic/*.txt": "4x4 intrinsics and extrinsics of both cameras (optional)",
        "**/scene????_??/intrinsics_*.txt": "the same, in scannet_frames_25k (optional)",
        "**/scene????_??/reflective/*.png": "255 where a reflection hides the surface, of rendered scenes (optional)",
        "**/scene????_??/label/*.png": "semantic classes, in scannet_frames_25k (optional)",
        "**/scene????_??/instance/*.png": "instances, in scannet_frames_25k (optional)",
        "**/scene????_??/scene????_??*": "what else ScanNet keeps of a scene: .sens, meshes, labels (optional)",
        "scannetv2-labels*.tsv": "names of the classes (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        if split in LISTS:
            return self._parsed(self.root / "splits" / f"ScanNet-{LISTS[split]}.txt")
        return [
            FrameId(scene, number)
            for scene, folder in self._scenes.items()
            if split == "all" or (int(scene[5:9]) >= 707) == (split == "test")
            for number in self._images_in(folder / "color")
        ]

    @cached_property
    def _scenes(self) -> dict[str, Path]:
        """The folder of every scene, by name."""
        folders = [path for top in TOPS for path in (self.root / top).glob("scene????_??") if path.is_dir()]
        return {folder.name: folder for folder in sorted(folders)}

    def parse(self, line: str) -> FrameId:
        """``SCENE REFERENCE SOURCE SOURCE``, or ``SCENE/color/NUMBER.jpg`` and whatever follows."""
        words = line.split()
        scene, _, number = words[0].rpartition("/color/") if "/" in words[0] else (words[0], "", " ".join(words[1:2]))
        scene, number = scene.rpartition("/")[2], number.partition(".")[0]
        if not scene.startswith("scene") or not number.isdigit():
            raise InputError("is neither 'SCENE REFERENCE SOURCE SOURCE' nor 'SCENE/color/NUMBER.jpg'")
        return FrameId(scene, int(number))

    def _file(self, id: FrameId, what: str, suffix: str) -> Path:
        image = self.image(id)
        return image.parents[1] / what / f"{image.stem}{suffix}"

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        folder = self._scenes.get(id.sequence, self.root / "scans" / id.sequence) / "color"
        images = self._images_in(folder)
        digits = 6 if images and len(next(iter(images.values())).stem) == 6 else 0
        return images.get(id.number, folder / f"{id.number:0{digits}d}.jpg")

    def needs(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.needs`."""
        pose = self._file(id, "pose", ".txt")
        return [pose] if pose.parent.is_dir() else []

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        return [self._file(id, "depth", ".png")]

    def _resized(self, id: FrameId, path: Path) -> np.ndarray:
        """The numbers of a raster of the depth camera, at the colour image's size."""
        values = read_raster(path)
        return values[nearest_pixels(values.shape, image_size(self.image(id)))]

    def depth(self, id: FrameId) -> DepthMap:
        """In m."""
        [file] = self.depth_files(id)
        return metric(self._resized(id, file) / np.float32(1000), "m")

    def camera(self, id: FrameId) -> Camera | None:
        """See :meth:`DataSet.camera`.

        Raises:
            InputError: the intrinsics are missing, or of other images.
        """
        folder = self.image(id).parents[1]
        if not (folder / "pose").is_dir():
            return None
        file = folder / "intrinsics_color.txt"
        file = file if file.is_file() else folder / "intrinsic" / "intrinsic_color.txt"
        height, width = image_size(self.image(id))
        return pinhole(read_numbers(file, (4, 4)), width, height, file, SIZE)

    def pose(self, id: FrameId) -> np.ndarray | None:
        """See :meth:`DataSet.pose`; None where tracking was lost."""
        file = self._file(id, "pose", ".txt")
        if not file.parent.is_dir():
            return None
        pose = read_numbers(file, (4, 4))
        return pose if np.isfinite(pose).all() else None

    def time(self, id: FrameId) -> float:
        """At 30 frames a second."""
        return id.number / 30

    def more(self, id: FrameId) -> dict[str, Any]:
        """``reflective``, of rendered scenes."""
        file = self._file(id, "reflective", ".png")
        return {"reflective": self._resized(id, file) > 0} if file.is_file() else {}


class ScanNetLayout(Layout):
    """``scans/sceneNNNN_00/{color/N.jpg, depth/N.png, pose/N.txt, intrinsic/*.txt}``, N counted from 0 without padding.

    Depth is uint16, z-depth in mm, 0 invalid. Poses are 4x4 camera-to-world in m, six decimals; real ones are all -inf
    where tracking was lost, ours never are. Colour (1296x968 JPEG) and depth (640x480) are two sizes with intrinsics of
    their own, each a 4x4 matrix; both are taken from one place, so both extrinsics are the identity.

    Not in ScanNet, and ours:

    - ``reflective/N.png``, 255 on the pixels of ``depth/N.png`` whose surface a reflection hides.
    - ``splits/ScanNet-Reflection.txt`` and ``splits/ScanNet-NoReflection.txt``: triplets for what 3D Distillation (Shi
      et al., ICCV 2023) tests on, in a format of our own. A line is ``SCENE REFERENCE SOURCE SOURCE``, the frames'
      numbers; the sources are the last frame before and the first after the reference that were taken at least 0.1 m
      away from it. The first list has the references at least 5 % of which is reflective, the second all others: by
      image, not by scene, because a rendered room rarely is without any mirror.
    """

    name = "scannet"
    worlds = ("room",)
    rate = 30.0

    def mounts(self) -> Mapping[str, Mount]:
        """``color`` and ``depth``, with the intrinsics of most scenes."""
        return {
            "color": Mount(Pinhole(*SIZE, 1169.621094, 1167.105103, 646.295044, 489.927032), np.eye(4)),
            "depth": Mount(Pinhole(640, 480, 577.590698, 578.729797, 318.905426, 242.683609), np.eye(4)),
        }

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one scene.

        Args:
            root: gets ``scans``.
            number: of the scene.
            rigs: of :meth:`mounts`.

        Returns:
            The scene's folder.

        Raises:
            InputError: a file cannot be written.
        """
        scene = _scene(root, number)
        for index, rig in enumerate(rigs):
            color, depth = rig["color"], rig["depth"]
            if index == 0:
                for kind, frame in rig.items():
                    intrinsic = np.eye(4)
                    intrinsic[:3, :3] = known(frame.camera).K
                    write_numbers(scene / "intrinsic" / f"intrinsic_{kind}.txt", intrinsic, "%f")
                    write_numbers(scene / "intrinsic" / f"extrinsic_{kind}.txt", np.eye(4), "%f")
            write_image(scene / "color" / f"{index}.jpg", color.image)
            write_raster(scene / "depth" / f"{index}.png", codes(z_depth(depth) * 1000))
            write_numbers(scene / "pose" / f"{index}.txt", known(color.pose), "%f")
            write_raster(scene / "reflective" / f"{index}.png", known(depth.reflective).astype(np.uint8) * 255)
        return [scene]

    def finish(self, root: Path, clips: int) -> None:
        """Write the two lists of triplets.

        Args:
            root: as for :meth:`write_clip`.
            clips: how many scenes there are.

        Raises:
            InputError: a mask is missing or damaged, or a list cannot be written.
        """
        lists: dict[str, list[str]] = {name: [] for name in LISTS.values()}
        for scene in (_scene(root, number) for number in range(clips)):
            count = len(list(scene.glob("pose/[0-9]*.txt")))
            places = np.array([np.loadtxt(scene / "pose" / f"{index}.txt")[:3, 3] for index in range(count)])
            for index in range(count):
                far = np.flatnonzero(np.linalg.norm(places - places[index], axis=1) >= BASELINE)
                before, after = far[far < index], far[far > index]
                if before.size and after.size:
                    with opening(scene / "reflective" / f"{index}.png") as mask:
                        share = (np.asarray(mask) > 0).mean()
                    line = f"{scene.name} {index} {before[-1]} {after[0]}\n"
                    lists["Reflection" if share >= REFLECTIVE else "NoReflection"].append(line)
        for name, lines in lists.items():
            write_text(root / "splits" / f"ScanNet-{name}.txt", "".join(lines))


def _scene(root: Path, number: int) -> Path:
    return root / "scans" / f"scene{number:04d}_00"
