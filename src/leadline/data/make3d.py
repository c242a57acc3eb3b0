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
from pathlib import Path

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, known, z_depth
from leadline.errors import ConfigError
from leadline.frame import Frame
from leadline.geometry.poses import compose
from leadline.io.atomic import writing
from leadline.io.images import write_image
from leadline.rig import FORWARD, Mount, Rig

ROWS, COLUMNS = 55, 305
#: Rows of the grid that evaluators use: those of the middle of the image, half as high as it is wide.
TOP, BOTTOM = 17, 38
#: Of the laser, in m.
REACH = 81.0
#: Of so many clips one is for the test, as 134 of 534 photographs.
TEST = 4


class Make3DLayout(Layout):
    """Make3D: Train400Img and Train400Depth, Test134 and Gridlaserdata."""

    name = "make3d"
    worlds = ("street",)
    rate = 1.0

    def mounts(self) -> Mapping[str, Mount]:
        """One camera held upright at the height of the eyes, ahead of the vehicle that would hide the ground."""
        camera = Pinhole(1704, 2272, 2400.209, 2407.331, 833.721, 1110.712)
        return {"camera": Mount(camera, compose(FORWARD, np.array([4.4, 0.0, 1.6])))}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write the photographs of one walk; see :meth:`Layout.write_clip`.

        Raises:
            ConfigError: scipy, which writes MATLAB files, is not installed.
        """
        try:
            from scipy.io import savemat
        except ImportError:
            raise ConfigError("writing Make3D's MATLAB files needs: pip install 'leadline[worlds]'") from None

        images, grids = ("Test134", "Gridlaserdata") if number % TEST == 0 else ("Train400Img", "Train400Depth")
        written = []
        for index, rig in enumerate(rigs):
            frame, name = rig["camera"], f"op{number + 1}-p-{index:03d}t000"
            written += [root / images / f"img-{name}.jpg", root / grids / f"depth_sph_corr-{name}.mat"]
            write_image(written[-2], frame.image)
            with writing(written[-1]) as temporary:
                savemat(str(temporary), {"Position3DGrid": _grid(frame)}, do_compression=True)
        return written


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
