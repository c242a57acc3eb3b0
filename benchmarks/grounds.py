"""What students are trained and judged on in the ablations: a rendered world, a real room.

For a seed a ground gives the frames to learn from and those to judge on, which never overlap, and the rules.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from leadline.data.dataset import DataSet
from leadline.data.sevenscenes import SevenScenes
from leadline.data.split import Holdout
from leadline.methods.self_supervision import MONODEPTH2
from leadline.protocols.folder import FOLDER
from leadline.training.rendered import Rendered

CARDS = Path(__file__).parent / "cards"


class Tract:
    """Rendered tubes, other places for every seed, as the world is by default: with pools, bubbles and tools, which the
    bundled teacher has never seen."""

    name = "tract"
    depth_range = (1.0, 400.0)
    base = replace(MONODEPTH2, pose="known", automask=False, scales=3)
    rules = replace(FOLDER, alignment="median", min_depth=1.0, max_depth=150.0)

    def __init__(self, size: tuple[int, int], clips: int) -> None:
        self.size, self.clips = size, clips

    def learned(self, seed: int) -> DataSet:
        return self._rendered(self.clips, 1000 * seed)

    def judged(self, seed: int) -> DataSet:
        return self._rendered(12, 90_000 + 1000 * seed)

    def _rendered(self, clips: int, seed: int) -> Rendered:
        height, width = self.size
        return Rendered("tract", clips, 8, seed, rate=6.0, height=height, width=width, poses=True)


class Street:
    """Rendered streets, other places for every seed, as a camera of KITTI's shape sees them ten times a second. Judged
    are images of 192x640, whatever size is learned from."""

    name = "street"
    depth_range = (1.0, 120.0)
    base = replace(MONODEPTH2, pose="known", scales=3)
    rules = replace(FOLDER, alignment="median", min_depth=1.0, max_depth=80.0)

    def __init__(self, size: tuple[int, int], clips: int) -> None:
        self.size, self.clips = size, clips

    def learned(self, seed: int) -> DataSet:
        return self._rendered(self.clips, 1000 * seed, self.size)

    def judged(self, seed: int) -> DataSet:
        return self._rendered(12, 90_000 + 1000 * seed, (192, 640))

    def _rendered(self, clips: int, seed: int, size: tuple[int, int]) -> Rendered:
        return Rendered("street", clips, 8, seed, rate=10.0, height=size[0], width=size[1], poses=True)


class Room:
    """480 frames of 7-Scenes, every third block of 40 judged on, with gaps of 5 frames. The sources are five frames
    away: nearer ones hardly differ, and none is a frame judged on."""

    name = "room"
    depth_range = (0.3, 10.0)
    base = replace(MONODEPTH2, offsets=(-5, 5), pose="known", scales=3)
    rules = replace(FOLDER, alignment="median", min_depth=0.3, max_depth=10.0)

    def __init__(self, data: Path) -> None:
        self.frames = SevenScenes(data / "sevenscenes", split="all")
        self.parts = Holdout(3, 40, 5).split(len(self.frames))

    def learned(self, seed: int) -> DataSet:
        del seed
        return self.frames.only(self.parts[0])

    def judged(self, seed: int) -> DataSet:
        del seed
        return self.frames.only(self.parts[1])


Ground = Tract | Street | Room
