"""Make3D (Saxena, Sun, Ng, "Make3D: learning 3D scene structure from a single still image", PAMI 2009).

Photographs taken upright, 2272 rows by 1704 columns, and a coarse laser grid in MATLAB files: ``Position3DGrid``
(55, 305, 4) holds Y, X, Z and depth d in m. What differs from what one would expect:

- Evaluators (monodepth's and all after it) crop the image to the middle 852 rows, the grid to rows 17:38, and resize
  the prediction to 305x21 by the nearest pixel, which is the one at a cell's top left corner. So rows of the grid lie
  852/21 = 40.57 rows of the image apart, not 2272/55 = 41.3, and its first and last do not reach the image's borders.
  They also take the grid's d, whatever it was measured along, for z-depth; here it is.
- The laser reaches about 81 m; what is farther, sky too, has that depth. Evaluators leave out what is beyond 70 m.
- Training and test files lie in differently named folders, and the test grids' is not the test images'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.cameras import fitted
from leadline.data.dataset import DataSet, metric
from leadline.data.images import walk
from leadline.data.layout import Layout, known, z_depth
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.geometry.poses import compose
from leadline.io.atomic import writing
from leadline.io.images import image_size, write_image
from leadline.rig import FORWARD, Mount, Rig

ROWS, COLUMNS = 55, 305
#: Rows of the grid that evaluators use: those of the middle of the image, half as high as it is wide.
TOP, BOTTOM = 17, 38
#: Of the laser, in m.
REACH = 81.0
#: Where that begins: what reads as much or more is only known to be far.
FAR = 80.0
#: Of the photographs.
CAMERA = Pinhole(1704, 2272, 2400.209, 2407.331, 833.721, 1110.712)
#: Of so many clips one is for the test, as 134 of 534 photographs.
TEST = 4


class Make3D(DataSet):
    """Photographs of Make3D.

    The folder is that of ``Test134`` with ``Gridlaserdata``, of ``Train400Img`` with ``Train400Depth``, or of all; they
    may lie deeper. A photograph is to test or to train as its folder's name says, and has the grid of its name. Every
    photograph is a sequence of its own, by its name without ``img-``: ``10.21op2-p-015t000``.

    The depth of a frame is the laser grid, resized to the image by the nearest cell; what is :data:`FAR` or more is
    unknown. Evaluators take :meth:`grid`, and other rows of the image for it.
    """

    name = "make3d"
    source = "Make3D: Saxena, Sun, Ng, PAMI 2009"
    licence = "research only"
    splits = {"test": "134 photographs", "train": "400 photographs", "all": "both"}
    counts = {"test": 134, "train": 400}
    film = False
    truths = {"laser": "a grid of 55 x 305 distances, as far as 81 m"}
    tree = {
        "**/*Test*/**/img-*.jpg": "photographs of the test",
        "**/*Train*/**/img-*.jpg": "photographs to train on (optional)",
        "**/depth_sph_corr-*.mat": "laser grids, MATLAB",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        return [FrameId(name, 0) for name, path in sorted(self._images.items()) if split in ("all", self._part(path))]

    def _part(self, path: Path) -> str:
        folders = path.relative_to(self.root).parent.as_posix().lower()
        return "train" if "train" in folders else "test" if "test" in folders else ""

    @cached_property
    def _images(self) -> dict[str, Path]:
        return self._named("img-", ".jpg")

    @cached_property
    def _grids(self) -> dict[str, Path]:
        return self._named("depth_sph_corr-", ".mat")

    def _named(self, prefix: str, suffix: str) -> dict[str, Path]:
        """Files by what their names have between these."""
        return {
            name[len(prefix) : -len(suffix)]: folder / name
            for folder, names in walk(self.root)
            for name in names
            if name.startswith(prefix) and name.endswith(suffix)
        }

    def parse(self, line: str) -> FrameId:
        """``img-10.21op2-p-015t000``, with ``.jpg`` and folders or without."""
        name = line.rpartition("/")[2].removesuffix(".jpg")
        if not name.startswith("img-"):
            raise InputError("is not img-NAME")
        return FrameId(name.removeprefix("img-"), 0)

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        return self._images.get(id.sequence, self.root / "Test134" / f"img-{id.sequence}.jpg")

    def _laser(self, id: FrameId) -> Path:
        return self._grids.get(id.sequence, self.root / "Gridlaserdata" / f"depth_sph_corr-{id.sequence}.mat")

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        return [self._laser(id)]

    def grid(self, id: FrameId) -> np.ndarray:
        """What the laser measured at a frame, as it is stored, without anything left out.

        Returns:
            (55, 305) float64 in m, the top row first.

        Raises:
            ConfigError: scipy, which reads MATLAB files, is not installed.
            InputError: the file is missing or holds something else.
        """
        path = self._laser(id)
        if not path.is_file():
            raise InputError(f"{path}: no such file; Test134Depth.tar.gz and Train400Depth.tgz hold them")
        loadmat = _matlab().loadmat
        try:
            stored = np.asarray(loadmat(str(path))["Position3DGrid"], np.float64)
        except Exception:  # whatever the reader raises for a damaged file
            stored = np.empty(0)
        if stored.shape != (ROWS, COLUMNS, 4):
            raise InputError(f"{path}: should be a MATLAB file with Position3DGrid, {ROWS}x{COLUMNS}x4 numbers")
        return stored[..., 3]

    def depth(self, id: FrameId) -> DepthMap:
        """In m."""
        height, width = image_size(self.image(id))
        rows, columns = (np.arange(n) * cells // n for n, cells in ((height, ROWS), (width, COLUMNS)))
        values = self.grid(id)[np.ix_(rows, columns)]
        return metric(values, "m", values < FAR)

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`."""
        height, width = image_size(self.image(id))
        return fitted(CAMERA, width, height, self.image(id))


class Make3DLayout(Layout):
    """Make3D: Train400Img and Train400Depth, Test134 and Gridlaserdata."""

    name = "make3d"
    worlds = ("street",)
    rate = 1.0

    def mounts(self) -> Mapping[str, Mount]:
        """One camera held upright at the height of the eyes, ahead of the vehicle that would hide the ground."""
        return {"camera": Mount(CAMERA, compose(FORWARD, np.array([4.4, 0.0, 1.6])))}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write the photographs of one walk; see :meth:`Layout.write_clip`.

        Raises:
            ConfigError: scipy, which writes MATLAB files, is not installed.
        """
        savemat = _matlab().savemat
        images, grids = ("Test134", "Gridlaserdata") if number % TEST == 0 else ("Train400Img", "Train400Depth")
        written = []
        for index, rig in enumerate(rigs):
            frame, name = rig["camera"], f"op{number + 1}-p-{index:03d}t000"
            written += [root / images / f"img-{name}.jpg", root / grids / f"depth_sph_corr-{name}.mat"]
            write_image(written[-2], frame.image)
            with writing(written[-1]) as temporary:
                savemat(str(temporary), {"Position3DGrid": _grid(frame)}, do_compression=True)
        return written


def _matlab() -> Any:
    try:
        import scipy.io
    except ImportError:
        raise ConfigError("Make3D's MATLAB files need scipy: pip install 'leadline[worlds]'") from None
    return scipy.io


def _grid(frame: Frame) -> np.ndarray:
    middle = frame.width // 2
    rows = (frame.height - middle) // 2 + (np.arange(ROWS) - TOP) * middle // (BOTTOM - TOP)
    columns = np.arange(COLUMNS) * frame.width // COLUMNS
    v, u = np.meshgrid(np.clip(rows, 0, frame.height - 1), columns, indexing="ij")
    depth = np.minimum(z_depth(frame)[v, u], REACH).astype(np.float64)
    if frame.mask is not None:
        depth[~frame.mask[v, u]] = 0  # what may not be used is unknown, not far
    rays = known(frame.camera).unproject(np.stack([u, v], axis=2).astype(np.float64))
    x, y, z = np.moveaxis(rays * depth[..., None], 2, 0)
    return np.stack([-y, x, z, depth], axis=2)
