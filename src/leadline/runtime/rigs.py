"""Depth of a rig: every camera by itself, then all of them as one cloud around the body, and one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from leadline.data.rig_folder import Instant
from leadline.depth import DepthMap, Kind
from leadline.errors import InputError, KindError, LeadlineError
from leadline.frame import Frame
from leadline.geometry.poses import relative, transform
from leadline.io.images import write_image
from leadline.io.ply import write_ply
from leadline.rig import Rig, ring, yaw
from leadline.runtime.predictor import Predictor
from leadline.runtime.writing import ImageWriter, colour_range, in_colour
from leadline.view import Picture, birdseye, colourise, contact_sheet, side_by_side

#: Points (N, 3) float32 in metres, body axes, and their colours (N, 3) uint8.
Cloud = tuple[np.ndarray, np.ndarray]

#: Height of a camera's picture on the sheet, in pixels.
HEIGHT = 240
#: Where a ring is cut to lie in a row, degrees of yaw: beside straight back, lest a rear camera change sides.
CUT = 170.0


def predict_rig(predictor: Predictor, rig: Rig) -> dict[str, DepthMap]:
    """The depth map of every camera, with its camera, at the size of its image.

    Raises:
        InputError: the model cannot answer to an image; the message names the camera, unless it sees all together.
    """
    if predictor.model.looks_around:
        images, cameras = zip(*((frame.image, frame.camera) for frame in rig.values()), strict=True)
        placed = mounts(rig)
        pairs = ring(list(placed.values())) if placed else []
        return dict(zip(rig, predictor.look_around(images, cameras, pairs), strict=True))
    depths = {}
    for name, frame in rig.items():
        try:
            depths[name] = predictor.predict(frame.image, frame.camera)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    return depths


def mounts(rig: Rig) -> dict[str, np.ndarray] | None:
    """(4, 4) camera-to-body of each camera at the instant it saw; None where a pose is not known."""
    poses = {name: frame.pose for name, frame in rig.items() if frame.pose is not None}
    if rig.pose is None or len(poses) < len(rig):
        return None
    return {name: relative(pose, rig.pose) for name, pose in poses.items()}


def check_fusable(kind: Kind) -> None:
    """Refuse to fuse what has no common scale.

    Raises:
        KindError: the maps are not metric.
    """
    if kind.up_to != "nothing":
        raise KindError(
            f"one cloud of several cameras needs metric depth; {kind} has a scale of its own in every camera: use a "
            "metric model, or align each map to a reference first: depth_map.align_to(reference)"
        )


def fuse(rig: Rig, depths: Mapping[str, DepthMap], reach: float | None = None) -> Cloud:
    """One coloured point cloud of what all cameras see.

    Pixels that a frame's mask leaves out give no point.

    Args:
        rig: with poses in metres.
        depths: metric maps with their cameras, by the cameras' names; of some cameras or of all.
        reach: largest z-depth in metres that is taken over.

    Returns:
        Points (N, 3) float32 in metres, body axes (x forward, y left, z up), and colours (N, 3) uint8; camera by
        camera, row by row.

    Raises:
        KindError: a map is not metric, or its camera is not known.
        InputError: the rig does not know where its cameras are.
    """
    for depth in depths.values():
        check_fusable(depth.kind)
    placed = mounts(rig)
    if placed is None:
        raise InputError("one cloud of several cameras needs to know where they are; this rig has no poses")
    points, colours = [np.empty((0, 3), np.float32)], [np.empty((0, 3), np.uint8)]
    for name, depth in depths.items():
        depth, mask = depth.to_depth().to_unit("m"), rig[name].mask
        kept = depth.valid if mask is None else depth.valid & mask
        seen = replace(depth, valid=kept if reach is None else kept & (depth.values <= reach))
        points.append(transform(placed[name].astype(np.float32), seen.to_points()))
        colours.append(_bytes(rig[name])[seen.liftable])
    return np.concatenate(points), np.concatenate(colours)


def sheet(rig: Rig, depths: Mapping[str, DepthMap], cloud: Cloud | None = None, colormap: str = "turbo") -> Picture:
    """The cameras side by side as they look around, from left to right, the front in the middle.

    Args:
        rig: what the cameras saw; without poses they stand in their own order.
        depths: of every camera, coloured below its image; one range of colours for all of them.
        cloud: shown from above beside them.
        colormap: a matplotlib name; near is warm and bright.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    placed = mounts(rig) or {}
    names = sorted(rig, key=lambda name: -((np.degrees(yaw(placed[name])) - CUT) % 360) if placed else 0)
    low, high = colour_range(depths.values())
    shown = [in_colour(depths[name]) for name in names]
    coloured = [colourise(d.values, d.valid, low, high, quantity=d.kind.quantity, colormap=colormap) for d in shown]
    picture = contact_sheet([[_bytes(rig[name]) for name in names], coloured], names, HEIGHT)
    return picture if cloud is None else side_by_side([picture, birdseye(*cloud, size=picture.shape[0])])


def predict_rigs(
    predictor: Predictor, instants: Iterable[Instant], writer: ImageWriter, report: Callable[[str], None]
) -> int:
    """Predict every instant and write it; memory does not grow with their number.

    Below the writer's folder there are then ``SEQUENCE/CAMERA/NAME.*``, what the writer writes of an image;
    ``SEQUENCE/NAME.rig.png``, all cameras, and where the model is metric and the cameras' places are known what they
    see from above (:func:`sheet`); and with the format ``ply`` ``SEQUENCE/NAME.ply``, one cloud of all cameras
    instead of one of each.

    Args:
        predictor: the model.
        instants: such as :class:`leadline.data.rig_folder.RigFolder`.
        writer: its formats and folder.
        report: told what is left out, a line each.

    Returns:
        How many frames were predicted.

    Raises:
        KindError: ``ply`` is asked for and the model is not metric; nothing is done then.
    """
    if "ply" in writer.formats:
        check_fusable(predictor.kind)
    done = 0
    for instant in instants:
        for problem in instant.problems:
            report(problem)
        if instant.rig is None:
            continue
        try:
            _write(instant, instant.rig, predict_rig(predictor, instant.rig), writer)
            done += len(instant.rig)
        except LeadlineError as error:
            report(f"{instant.sequence}/{instant.name}: {error}")
    return done


def _write(instant: Instant, rig: Rig, depths: Mapping[str, DepthMap], writer: ImageWriter) -> None:
    folder = writer.folder / instant.sequence
    single = [name for name in writer.formats if name != "ply"]
    metric = all(depth.kind.up_to == "nothing" for depth in depths.values())
    fusable = metric and mounts(rig) is not None
    cloud = fuse(rig, depths) if fusable or "ply" in writer.formats else None
    for name, depth in depths.items():
        ImageWriter(folder / name, single, writer.colormap).write(instant.name, _bytes(rig[name]), depth)
    write_image(folder / f"{instant.name}.rig.png", sheet(rig, depths, cloud, writer.colormap))
    if cloud is not None and "ply" in writer.formats:
        write_ply(folder / f"{instant.name}.ply", *cloud)


def _bytes(frame: Frame) -> Picture:
    return np.rint(frame.image * 255).astype(np.uint8)
