"""C3VD: colonoscope videos of silicone colons with depth by registration (Bobrow et al., MedIA 2023, arXiv 2206.08903).

Encodings as in the authors' renderer, github.com/DurrLab/C3VD, render/Render.cu.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Omnidirectional
from leadline.data.layout import Layout, known, z_depth
from leadline.io.atomic import write_numbers
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
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
    rate = 30.0
    flow = True

    def mounts(self) -> Mapping[str, Mount]:
        """The Olympus CF-HQ190L: 1350x1080."""
        camera = Omnidirectional(
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
        return {"camera": Mount(camera, np.eye(4))}

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
