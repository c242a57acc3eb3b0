"""ScanNet (Dai et al., CVPR 2017): RGB-D clips of rooms, as its public SensReader exports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, codes, known, z_depth
from leadline.io.atomic import write_numbers, write_text
from leadline.io.images import opening, write_image
from leadline.io.rasters import write_raster
from leadline.rig import Mount, Rig

#: Part of an image that mirrors, glass and highlights cover, from which its triplet is one of reflections.
REFLECTIVE = 0.05
#: Least distance in m from a triplet's source cameras to its reference: less and there is no parallax to learn from.
BASELINE = 0.1


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
            "color": Mount(Pinhole(1296, 968, 1169.621094, 1167.105103, 646.295044, 489.927032), np.eye(4)),
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
        lists: dict[str, list[str]] = {"Reflection": [], "NoReflection": []}
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
