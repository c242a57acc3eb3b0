"""Endoscopy: SCARED, SERV-CT, Hamlyn, C3VD and SimCol3D, by the rules of the papers that made them customary."""

from __future__ import annotations

from dataclasses import replace

from leadline.data.lists import FrameId
from leadline.protocols.protocol import Protocol, Published
from leadline.protocols.windows import Pixels

_AF = "AF split, per-frame median"
_OTHER = "slightly different split"


def _published(model: str, source: str, *figures: float) -> Published:
    names = ("abs_rel", "sq_rel", "rmse", "rmse_log", "delta1")
    return Published(model, {name: value for name, value in zip(names, figures, strict=True) if value >= 0}, source)


SCARED_AF = Protocol(
    name="scared-af",
    about="AF-SfMLearner's: 551 frames, per-frame median, up to 150 mm, full resolution. The data set's poses, and so "
    "its depth between key frames, are known to be somewhat wrong.",
    data="scared",
    split="af-test",
    alignment="median",
    min_depth=1e-3,
    max_depth=150,
    unit="mm",
    published=(
        _published("AF-SfMLearner", _AF, 0.059, 0.435, 4.925, 0.082, 0.974),
        _published("Lite-Mono", _OTHER, 0.056, 0.398, 4.614, 0.077, 0.974),
        _published("Surgical-DINO", _AF, 0.053, 0.377, 4.296, 0.074, 0.975),
        _published("EndoDAC", _AF, 0.052, 0.362, 4.464, 0.073, 0.979),
        _published("DARES", _AF, 0.052, 0.356, 4.483, 0.073, 0.980),
        _published("MonoPCC", _OTHER, 0.051, 0.349, 4.488, 0.072, 0.983),
        _published("DAE", _AF, 0.047, -1, 4.156, -1, 0.983),
        _published("EndoMUST", _AF, 0.046, 0.313, 4.276, 0.067, 0.984),
    ),
)

SCARED_VIDEO = Protocol(
    name="scared-video",
    about="EndoDAV's: the 8 videos of data sets 8 and 9, 5,907 frames, scale and shift of each video by median and "
    "mean deviation, up to 150 mm; temporal errors over adjacent frames. Not comparable with the 551 frames.",
    data="scared",
    split="video",
    alignment="mad-video",
    min_depth=1e-3,
    max_depth=150,
    unit="mm",
    temporal=True,
)

SERVCT = Protocol(
    name="servct",
    about="16 rectified pairs, the left image, per-frame median, up to 180 mm (AF-SfMLearner's cap).",
    data="servct",
    split="test",
    alignment="median",
    min_depth=1e-3,
    max_depth=180,
    unit="mm",
    published=(
        Published("DAE", {"abs_rel": 0.078}, "CVPR 2026"),
        Published("EndoDAC", {"abs_rel": 0.132}, "as DAE (CVPR 2026) quotes it"),
        Published("Depth Anything V2", {"abs_rel": 0.164}, "as DAE (CVPR 2026) quotes it"),
    ),
)
SERVCT_GEDE = replace(
    SERVCT,
    name="servct-gede",
    about="16 rectified pairs, the left image, per-frame median, up to 200 mm (GeDE's cap).",
    max_depth=200,
    published=(),
)


class CroppedHamlyn(Protocol):
    """Sequences after the thirteenth are seen without their black sides, columns 180 to 590, as AF-SfMLearner and
    EndoDAC have it."""

    def view_of(self, id: FrameId, height: int, width: int) -> tuple[slice, slice] | None:
        """See the class."""
        number = int("".join(filter(str.isdigit, id.sequence)))
        return Pixels(0, 288, 180, 590, size=(288, 720)).of(height, width) if number > 13 else None


HAMLYN = CroppedHamlyn(
    name="hamlyn",
    about="AF-SfMLearner's and EndoDAC's: 22 sequences, those after the thirteenth cropped, per-frame median, up to "
    "150 mm.",
    data="hamlyn",
    split="all22",
    alignment="median",
    min_depth=1e-3,
    max_depth=150,
    unit="mm",
)
HAMLYN_EDM = Protocol(
    name="hamlyn-edm",
    about="Endo-Depth-and-Motion's: 22 sequences, whole images, per-frame median, 1 to 300 mm.",
    data="hamlyn",
    split="all22",
    alignment="median",
    min_depth=1,
    max_depth=300,
    unit="mm",
)
HAMLYN_VIDEO = Protocol(
    name="hamlyn-video",
    about="EndoDAV's: 21 sequences (without the eighth), whole images, scale and shift of each video by median and "
    "mean deviation, up to 150 mm.",
    data="hamlyn",
    split="video21",
    alignment="mad-video",
    min_depth=1e-3,
    max_depth=150,
    unit="mm",
)

C3VD = Protocol(
    name="c3vd",
    about="EndoDAC's and GeDE's: rows 180 to 900 and columns 200 to 1150 of every frame, per-frame median, up "
    "to 100 mm.",
    data="c3vd",
    split="registered",
    alignment="median",
    min_depth=1e-3,
    max_depth=100,
    unit="mm",
    view=Pixels(180, 900, 200, 1150, size=(1080, 1350)),
    scores=("boundary_f1", "pseudo_texture"),
    published=(
        Published("DAE", {"abs_rel": 0.086, "rmse": 4.397, "delta1": 0.934}, "CVPR 2026, zero-shot"),
        Published("EndoDAC", {"abs_rel": 0.114, "rmse": 7.328, "delta1": 0.877}, "as DAE (CVPR 2026) quotes it"),
    ),
)

SIMCOL3D = Protocol(
    name="simcol3d",
    about="The challenge's: one scale for each trajectory, by least squares of the frames' mean depths, up to 20 cm; "
    "l1 (cm), median_rel and RMSE are its figures. It clips predictions to 0..20 cm before the scale, this after.",
    data="simcol3d",
    split="test",
    alignment="mean-lsq",
    min_depth=1e-3,
    max_depth=20.001,
    unit="cm",
    scores=("l1", "median_rel", "boundary_f1", "pseudo_texture"),
)
