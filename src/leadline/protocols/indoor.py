"""Rooms, mirrors and everything: ScanNet, 7-Scenes, Booster, NYU v2, DIODE and ETH3D."""

from __future__ import annotations

from leadline.protocols.protocol import Protocol, Published
from leadline.protocols.windows import Pixels

_BRIGES = "arXiv 2505.23400"

SCANNET_REFLECTION = Protocol(
    name="scannet-reflection",
    about="3D Distillation's (ICCV 2023): frames of ScanNet with reflective surfaces, per-frame median, 0.1 to 10 m; "
    "figures on reflective pixels and elsewhere apart where the data set knows them.",
    data="scannet",
    split="reflection-test",
    alignment="median",
    min_depth=0.1,
    max_depth=10,
    unit="m",
)
SEVENSCENES = Protocol(
    name="sevenscenes",
    about="7-Scenes' test sequences, per-frame median, 0.1 to 10 m; temporal errors over adjacent frames.",
    data="sevenscenes",
    split="test",
    alignment="median",
    min_depth=0.1,
    max_depth=10,
    unit="m",
    temporal=True,
)
BOOSTER = Protocol(
    name="booster",
    about="Booster's balanced training scenes, whose truth is public, per-frame median, 0.1 to 10 m; figures on "
    "reflective and transparent pixels and elsewhere apart.",
    data="booster",
    split="balanced-train",
    alignment="median",
    min_depth=0.1,
    max_depth=10,
    unit="m",
)
NYU = Protocol(
    name="nyu",
    about="Marigold's: 654 test images of NYU v2 in Eigen's crop, scale and shift by least squares in disparity, up to "
    "10 m.",
    data="nyu",
    split="test",
    alignment="lsq-positive-disparity",
    min_depth=1e-3,
    max_depth=10,
    unit="m",
    judged=Pixels(45, 471, 41, 601, size=(480, 640)),
    published=(
        Published("Depth Anything V2 S", {"delta1": 0.974}, "24.8 M parameters, 518 px"),
        Published("DepthART TinyViM-S", {"delta1": 0.964}, "6.0 M parameters, 448 px"),
        Published("ZipDepth", {"delta1": 0.935}, "6.1 M parameters, 384 px"),
        Published("Depth Anything B", {"abs_rel": 0.0451, "delta1": 0.979}, _BRIGES),
        Published("BriGeS-B", {"abs_rel": 0.0466, "delta1": 0.981}, _BRIGES),
    ),
)
DIODE = Protocol(
    name="diode",
    about="Marigold's: 771 validation images indoors and outdoors, least squares in disparity, 0.6 to 350 m; Marigold "
    "clamps to that range but also counts the little truth outside it.",
    data="diode",
    split="val",
    alignment="lsq-positive-disparity",
    min_depth=0.6,
    max_depth=350,
    unit="m",
    published=(
        Published("Depth Anything B", {"abs_rel": 0.287, "delta1": 0.754}, _BRIGES),
        Published("BriGeS-B", {"abs_rel": 0.260, "delta1": 0.757}, _BRIGES),
    ),
)
ETH3D = Protocol(
    name="eth3d",
    about="Marigold's: 454 images of ETH3D's training scenes, least squares in disparity, no cap; Marigold fits on "
    "maps shrunk to 1024 pixels, this on whole ones.",
    data="eth3d",
    split="marigold",
    alignment="lsq-positive-disparity",
    min_depth=1e-5,
    unit="m",
)
