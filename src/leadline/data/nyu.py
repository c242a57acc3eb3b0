"""NYU Depth v2 (Silberman et al., ECCV 2012): labelled Kinect pictures of rooms."""

from __future__ import annotations

import os
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.images import visible
from leadline.data.layout import codes
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError
from leadline.io.images import image_size, write_image
from leadline.io.rasters import read_raster, write_raster

#: Of the colour camera, to which depth is registered (the data set's toolbox, ``camera_params.m``).
CAMERA = Pinhole(640, 480, 518.857901, 519.469611, 325.582449, 253.736166)
#: The labelled pictures, and which of them are to train and to test on, as the data set's page gives them.
LABELLED, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"


class Nyu(DataSet):
    """The 1,449 labelled pictures of NYU Depth v2 as files, in either of the field's two layouts.

    - ``test/kitchen_0004/{rgb_0001,depth_0001,filled_0001}.png``, numbers from 1: Marigold's, and :func:`unpack`'s;
    - ``official_splits/test/kitchen/{rgb_00000.jpg,sync_depth_00000.png}``, numbers from 0: that of BTS and what came
      after it; without filled depth, and the frame of the picture, 7 to 9 pixels wide, painted black.

    Depth is 16 bits in mm, 0 unknown. The folder is the one of ``test`` or ``official_splits``, or ``test`` itself. A
    frame's sequence is its split and its number that of the labelled file, from 1, in both layouts: so results on
    both can be compared. Pictures next to each other are not neighbours in time.
    """

    name = "nyu"
    source = "NYU Depth v2: Silberman et al., ECCV 2012"
    licence = "research only"
    splits = {
        "test": "the official test pictures, 654",
        "train": "the labelled training pictures, 795",
        "all": "both",
    }
    counts = {"test": 654, "train": 795}
    film = False
    truths = {
        "raw": "what the Kinect measured, registered to colour",
        "filled": "the same with its holes filled by colourisation",
    }
    tree = {
        "**/rgb_*.*": "colour images, PNG or JPEG",
        "**/depth_????.png": "measured depth, 16 bits, mm; 0 unknown",
        "**/filled_????.png": "depth with its holes filled (optional)",
        "**/sync_depth_?????.png": "measured depth in the layout of BTS, in place of depth_????.png (optional)",
        "*.mat": "the files the pictures were unpacked from (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        if not self._images and (file := self.root / LABELLED).is_file():
            raise InputError(f"{file}: has to be unpacked first: leadline.data.nyu.unpack('{self.root}')")
        return sorted(id for id in self._images if split in ("all", id.sequence))

    @cached_property
    def _images(self) -> dict[FrameId, Path]:
        images = {}
        for part in ("train", "test"):
            own = ["*/rgb_*"] if self.root.resolve().name == part else []
            for pattern in (f"{part}/*/rgb_*", f"official_splits/{part}/*/rgb_*", *own):
                for path in visible(self.root, pattern):
                    images[FrameId(part, _number(path.stem.removeprefix("rgb_")))] = path
        return images

    def parse(self, line: str) -> FrameId:
        """``test/kitchen_0004/rgb_0001.png`` or ``kitchen/rgb_00000.jpg``, and whatever follows; without ``train``
        before it, it is a test picture."""
        path = Path(line.split()[0])
        digits = path.stem.removeprefix("rgb_")
        if not digits.isdigit() or digits == path.stem:
            raise InputError("is neither test/SCENE/rgb_0001.png nor SCENE/rgb_00000.jpg")
        return FrameId("train" if "train" in path.parts else "test", _number(digits))

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        return self._images.get(id, self.root / id.sequence / f"rgb_{id.number:04d}.png")

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        image = self.image(id)
        digits = image.stem.removeprefix("rgb_")
        name = "filled" if self.truth == "filled" else "sync_depth" if len(digits) == 5 else "depth"
        return [image.with_name(f"{name}_{digits}.png")]

    def depth(self, id: FrameId) -> DepthMap:
        """In m."""
        [file] = self.depth_files(id)
        return metric(read_raster(file) / np.float32(1000), "m")

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`: the published one, for every picture."""
        return CAMERA.resize(*image_size(self.image(id)))


def _number(digits: str) -> int:
    """The number in the labelled file, from 1, of a picture called so: five digits count from 0, four from 1."""
    return int(digits) + (len(digits) == 5)


def unpack(folder: str | os.PathLike[str]) -> None:
    """Write the pictures of ``nyu_depth_v2_labeled.mat``, which lies in ``folder`` with ``splits.mat``, beside it.

    They become ``test/SCENE/rgb_0001.png``, ``depth_0001.png``, ``filled_0001.png`` and so on, ``train`` likewise.

    Args:
        folder: holds the two files that the data set's page offers.

    Raises:
        ConfigError: h5py or scipy is not installed.
        InputError: a file is missing or damaged, or one cannot be written.
    """
    h5py, scipy = _installed("h5py"), _installed("scipy.io")
    folder = Path(folder)
    for file in (folder / LABELLED, folder / SPLITS):
        if not file.is_file():
            raise InputError(f"{file}: no such file; the data set's page offers {LABELLED} and {SPLITS}")
    try:
        lists = scipy.loadmat(folder / SPLITS)
        part = {int(number): name for name in ("train", "test") for number in lists[f"{name}Ndxs"].ravel()}
        with h5py.File(folder / LABELLED, "r") as labelled:
            for index, reference in enumerate(labelled["scenes"][0]):
                scene = "".join(map(chr, labelled[reference][()].ravel()))
                place = folder / part[index + 1] / scene
                # arrays of Matlab come transposed
                write_image(place / f"rgb_{index + 1:04d}.png", labelled["images"][index].T)
                for name, key in (("depth", "rawDepths"), ("filled", "depths")):
                    write_raster(place / f"{name}_{index + 1:04d}.png", codes(labelled[key][index].T * 1000))
    except InputError:
        raise
    except Exception as error:  # whatever the formats' libraries raise for damaged files
        raise InputError(f"{folder}: {LABELLED} or {SPLITS} cannot be unpacked ({error})") from None


def _installed(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise ConfigError(f"{package}: is needed to unpack {LABELLED}; pip install {package}") from None
