"""DIODE (Vasiljevic et al., arXiv 1908.00463): crops of laser scans, indoors and outdoors."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from leadline.camera import Camera, Pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.images import visible
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.io.depth_files import read_depth
from leadline.io.images import image_size

#: Of the crops; the two focal lengths do differ (the devkit's intrinsics.txt).
CAMERA = Pinhole(1024, 768, 886.81, 927.06, 512.0, 384.0)
#: What the folders of a split are called.
PLACES = {"indoor": "indoors", "outdoor": "outdoor"}


class Diode(DataSet):
    """Crops of DIODE.

    ``val/indoors/scene_00021/scan_00189/00021_00189_indoors_200_010.png`` with ``..._depth.npy``, (H, W, 1) in m, and
    ``..._depth_mask.npy``, 1 where depth is known. The folder is the one of ``val`` or ``train``, or one of these two
    itself. A frame's sequence is its scan, such as ``indoors/scene_00021/scan_00189``, and its number a thousand times
    the first angle in its name plus the second: 200010. Neighbours in number are not neighbours in time.
    """

    name = "diode"
    source = "DIODE: Vasiljevic et al., arXiv 1908.00463"
    licence = "MIT"
    splits = {
        "val": "the validation crops, 771",
        "val-indoor": "those indoors, 325",
        "val-outdoor": "those outdoors, 446",
        "train": "the training crops",
        "all": "every crop there is",
    }
    counts = {"val": 771, "val-indoor": 325, "val-outdoor": 446, "train": 25458}
    film = False
    truths = {"laser": "z-depth of a laser scanner"}
    tree = {
        "**/scan_?????/*_???_???.png": "colour images",
        "**/scan_?????/*_depth.npy": "depth, (H, W, 1) floating point, m",
        "**/scan_?????/*_depth_mask.npy": "1 where depth is known",
        "**/scan_?????/*_normal.npy": "surface normals (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        part, _, place = split.partition("-")
        return [
            FrameId(scan, 1000 * int(path.stem[-7:-4]) + int(path.stem[-3:]))
            for scan, folder in self._scans.items()
            if part in ("all", self._part(folder)) and scan.startswith(PLACES.get(place, ""))
            for path in visible(folder, "*_???_???.png")
        ]

    @cached_property
    def _scans(self) -> dict[str, Path]:
        """The folders of all scans, by their sequence; training and validation share none."""
        folders = [
            path for top in ("*", "val/*", "train/*") for path in self.root.glob(f"{top}/scene_?????/scan_?????")
        ]
        scans = {path.relative_to(path.parents[2]).as_posix(): path for path in folders}
        return dict(sorted(scans.items()))

    def _part(self, folder: Path) -> str:
        """``val`` or ``train``, by the folder's name; a copy that has lost it is of ``val``."""
        return "train" if folder.parents[2].resolve().name == "train" else "val"

    def parse(self, line: str) -> FrameId:
        """``indoors/scene_00021/scan_00189/00021_00189_indoors_200_010.png``, after ``val/`` or not, and whatever
        follows."""
        path = Path(line.split()[0])
        angles = path.stem.split("_")[-2:]
        if len(path.parts) < 4 or len(angles) < 2 or not all(len(angle) == 3 and angle.isdigit() for angle in angles):
            raise InputError("is not indoors/scene_00021/scan_00189/00021_00189_indoors_200_010.png")
        return FrameId("/".join(path.parts[-4:-1]), 1000 * int(angles[0]) + int(angles[1]))

    def _file(self, id: FrameId, ending: str) -> Path:
        folder = self._scans.get(id.sequence, self.root / "val" / id.sequence)
        if id.sequence.count("/") != 2:
            raise InputError(f"{self.root}: frame {id} is not of a scan such as indoors/scene_00021/scan_00189")
        place, scene, scan = id.sequence.split("/")
        first, second = divmod(id.number, 1000)
        return folder / f"{scene[-5:]}_{scan[-5:]}_{place}_{first:03d}_{second:03d}{ending}"

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        return self._file(id, ".png")

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        return [self._file(id, "_depth.npy"), self._file(id, "_depth_mask.npy")]

    def depth(self, id: FrameId) -> DepthMap:
        """In m."""
        depth_file, mask_file = self.depth_files(id)
        values, valid, _ = read_depth(depth_file)
        mask, _, _ = read_depth(mask_file, scale=1)
        if mask.shape != values.shape:
            raise InputError(f"{mask_file}: is {mask.shape} but the depth is {values.shape}")
        return metric(values, "m", valid & (mask > 0))

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`: the published one, for every crop."""
        return CAMERA.resize(*image_size(self.image(id)))
