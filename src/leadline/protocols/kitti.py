"""KITTI, in the three ways the field judges on it; their figures are not comparable with one another."""

from __future__ import annotations

from leadline.protocols.protocol import Protocol, Published
from leadline.protocols.windows import BottomCentre, Shares

#: Garg et al., ECCV 2016.
GARG = Shares(0.40810811, 0.99189189, 0.03594771, 0.96405229)
#: Eigen et al., NeurIPS 2014.
EIGEN = Shares(0.3324324, 0.91351351, 0.0359477, 0.96405229)

_LITE_MONO = "Zhang et al., CVPR 2023, self-supervised, 640x192"
_BRIGES = "arXiv 2505.23400"

KITTI_EIGEN = Protocol(
    name="kitti-eigen",
    about="monodepth2's: 697 images of Eigen's split, raw lidar (distance ahead of the lidar, as its export has it), "
    "Garg's crop, median scaling.",
    data="kitti",
    split="eigen-test",
    truth="velodyne",
    alignment="median",
    min_depth=1e-3,
    max_depth=80,
    unit="m",
    judged=GARG,
    published=(
        Published("Lite-Mono-tiny", {"abs_rel": 0.110}, _LITE_MONO),
        Published("Lite-Mono-small", {"abs_rel": 0.110}, _LITE_MONO),
        Published("Lite-Mono", {"abs_rel": 0.107}, _LITE_MONO),
        Published("Lite-Mono-8M", {"abs_rel": 0.101}, _LITE_MONO),
    ),
)

KITTI_IMPROVED = Protocol(
    name="kitti-improved",
    about="The 652 images of Eigen's split that have KITTI depth's improved ground truth, no crop, median scaling.",
    data="kitti",
    split="eigen-improved",
    truth="annotated",
    alignment="median",
    min_depth=1e-3,
    max_depth=80,
    unit="m",
)

KITTI_MARIGOLD = Protocol(
    name="kitti-marigold",
    about="Marigold's and BriGeS': the 652 images cropped to the benchmark's 352x1216, improved ground truth in "
    "Eigen's crop, scale and shift by least squares in disparity.",
    data="kitti",
    split="eigen-improved",
    truth="annotated",
    alignment="lsq-positive-disparity",
    min_depth=1e-5,
    max_depth=80,
    unit="m",
    view=BottomCentre(352, 1216),
    judged=EIGEN,
    published=(
        Published("Depth Anything B", {"abs_rel": 0.0801, "delta1": 0.942}, _BRIGES),
        Published("BriGeS-B", {"abs_rel": 0.0771, "delta1": 0.942}, _BRIGES),
    ),
)
