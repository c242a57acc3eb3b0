"""Six cameras around a vehicle: DDAD and nuScenes, metric, camera by camera, and whether neighbours agree."""

from __future__ import annotations

from dataclasses import replace

from leadline.protocols.protocol import Protocol, Published

_SURROUND = "SurroundDepth (CoRL 2022), as the view-relational paper (arXiv 2512.08700) quotes it"
_VFDEPTH = "VFDepth (RA-L 2022), as the view-relational paper (arXiv 2512.08700) quotes it"

DDAD = Protocol(
    name="ddad",
    about="Six cameras, metric as predicted, up to 200 m; the mean over images of each camera, then over cameras. "
    "Where the data set holds masks of the vehicle itself they apply (VFDepth's way; SurroundDepth has none).",
    data="ddad",
    split="val",
    truth="lidar",
    alignment="none",
    min_depth=0.1,
    max_depth=200,
    unit="m",
    average="cameras",
    across=True,
    published=(
        Published("SurroundDepth", {"abs_rel": 0.208, "sq_rel": 3.371, "delta1": 0.693}, _SURROUND),
        Published("VFDepth", {"abs_rel": 0.221, "sq_rel": 4.001, "delta1": 0.688}, _VFDEPTH),
    ),
)
DDAD_MEDIAN = replace(
    DDAD, name="ddad-median", about=DDAD.about.replace("metric as predicted", "median scaling of each image"),
    alignment="median", published=(),
)  # fmt: skip

NUSCENES = Protocol(
    name="nuscenes",
    about="SurroundDepth's: six cameras at the 6,019 key frames of the validation scenes, metric as predicted, up to "
    "80 m; the mean over images of each camera, then over cameras.",
    data="nuscenes",
    split="val",
    truth="lidar",
    alignment="none",
    min_depth=0.1,
    max_depth=80,
    unit="m",
    average="cameras",
    across=True,
    published=(Published("SurroundDepth", {"abs_rel": 0.280, "sq_rel": 4.401, "delta1": 0.661}, _SURROUND),),
)
NUSCENES_MEDIAN = replace(
    NUSCENES, name="nuscenes-median",
    about=NUSCENES.about.replace("metric as predicted", "median scaling of each image"), alignment="median",
    published=(),
)  # fmt: skip
NUSCENES_VFDEPTH = replace(
    NUSCENES, name="nuscenes-vfdepth", split="val-vfdepth",
    about="VFDepth's: the 5,417 key frames (5,416 newlines) that are not at night; not comparable with the 6,019.",
    published=(Published("VFDepth", {"abs_rel": 0.285, "sq_rel": 6.662, "delta1": 0.741}, _VFDEPTH),),
)  # fmt: skip
NUSCENES_VFDEPTH_MEDIAN = replace(
    NUSCENES_VFDEPTH, name="nuscenes-vfdepth-median",
    about=NUSCENES_VFDEPTH.about + " Median scaling of each image.", alignment="median", published=(),
)  # fmt: skip
