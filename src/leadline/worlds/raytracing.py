"""Rays against triangles, by Intel's embree: what a camera sees of a scene, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from leadline.camera import Camera
from leadline.errors import ConfigError

NEEDED = "rendering a world needs: pip install 'leadline[worlds]'"
#: Part of a distance that two ways of computing it may differ by.
NEARLY = 1e-3


@dataclass(frozen=True)
class Mesh:
    """Triangles of one thing.

    Args:
        vertices: (V, 3) in world axes.
        faces: (F, 3) indices of vertices.
        normals: (V, 3) unit vectors, blended over each triangle; None for flat triangles.
        paint: (V, C) whatever else is known of the surface, blended alike; all meshes of a scene have the same C.
        clear: light passes through it, as through glass: it throws no shadow.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    paint: np.ndarray | None = None
    clear: bool = False


@dataclass(frozen=True)
class Hits:
    """Where rays end.

    Args:
        distance: (N,) in lengths of the ray's direction; inf where nothing is hit.
        points: (N, 3) world axes; not finite where nothing is hit.
        normals: (N, 3) unit, turned towards where the ray came from.
        mesh: (N,) index of the mesh, -1 where nothing is hit.
        paint: (N, C) of the meshes, 0 where nothing is hit.
        face: (N,) index of the triangle in its mesh.
        weights: (N, 3) of the triangle's corners.
    """

    distance: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    mesh: np.ndarray
    paint: np.ndarray
    face: np.ndarray
    weights: np.ndarray

    def take(self, which: np.ndarray | slice) -> Hits:
        """Some of them: indices, flags (N,) or a slice."""
        return Hits(*(getattr(self, field.name)[which] for field in fields(self)))

    def join(self, more: Hits) -> Hits:
        """These, then ``more``."""
        return Hits(*(np.concatenate([getattr(self, f.name), getattr(more, f.name)]) for f in fields(self)))


class _Group:
    """Meshes in one embree scene, with their indices in the whole."""

    def __init__(self, meshes: Sequence[Mesh], numbers: Sequence[int]) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError:
            raise ConfigError(NEEDED) from None
        self.numbers = np.array([*numbers, -1])  # embree says -1 where nothing is hit
        self.embree = EmbreeScene()
        # What the three corners of each face know, side by side: one place in memory to look at for a hit. The faces of
        # all meshes follow each other.
        self.corners = np.concatenate([_corners(mesh) for mesh in meshes] or [np.zeros((0, 3, 3), np.float32)])
        self.first = np.cumsum([0, *(len(mesh.faces) for mesh in meshes)])
        # Embree numbers geometries in the order they are added.
        self._kept = [
            TriangleMesh(self.embree, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)) for mesh in meshes
        ]

    def cast(self, origins: np.ndarray, rays: np.ndarray) -> dict[str, np.ndarray]:
        found = self.embree.run(origins, rays, query="INTERSECT", output=1)
        found["tfar"] = np.where(found["geomID"] >= 0, found["tfar"], np.float32(np.inf))
        return found


class Scene:
    """Meshes that rays can be cast into.

    Args:
        meshes: the things in it that stand still.
        moving: those that do not; a mesh's index counts on from ``meshes``.

    Raises:
        ConfigError: embree is not installed.
    """

    def __init__(self, meshes: Sequence[Mesh], moving: Sequence[Mesh] = ()) -> None:
        self.still = list(meshes)
        # Apart, so that shadow rays need not ask what glass stands in their way.
        self._groups = [
            _Group([self.still[n] for n in numbers], numbers)
            for clear in (False, True)
            if (numbers := [n for n, mesh in enumerate(self.still) if mesh.clear == clear]) or not clear
        ]
        self.moving: list[Mesh] = []
        self._place(moving)

    def _place(self, moving: Sequence[Mesh]) -> None:
        self.moving = list(moving)
        self._all = list(self._groups)
        if moving:
            self._all.append(_Group(self.moving, range(len(self.still), len(self.still) + len(self.moving))))

    def with_moving(self, moving: Sequence[Mesh]) -> Scene:
        """The same scene at another moment: what stands still is shared, the rest stands elsewhere."""
        other = object.__new__(Scene)
        other.still, other._groups = self.still, self._groups
        other._place(moving)
        return other

    def cast(self, origins: np.ndarray, directions: np.ndarray, clear: bool = True) -> Hits:
        """The first thing each ray meets.

        Args:
            origins: (N, 3) or (3,).
            directions: (N, 3), of any length; rays that are not finite hit nothing.
            clear: glass counts; otherwise rays pass it.
        """
        origins, rays, sane = _rays(origins, directions)
        groups = [group for group in self._all if clear or not self._is_clear(group)]
        all_found = [group.cast(origins, rays) for group in groups]
        nearest = np.argmin([found["tfar"] for found in all_found], axis=0) if len(all_found) > 1 else None
        mesh = np.full(len(rays), -1)
        width = max(group.corners.shape[2] for group in groups)
        values = np.zeros((len(rays), width), np.float32)
        flat, weights = np.zeros_like(rays), np.zeros_like(rays)
        distance, face = np.full(len(rays), np.inf, np.float32), np.zeros(len(rays), np.int64)
        for number, (group, found) in enumerate(zip(groups, all_found, strict=True)):
            here = sane & (found["geomID"] >= 0)
            if nearest is not None:
                here &= nearest == number
            if not here.any():
                continue
            mesh[here] = group.numbers[found["geomID"][here]]
            distance[here], face[here], flat[here] = found["tfar"][here], found["primID"][here], found["Ng"][here]
            u, v = found["u"][here], found["v"][here]
            weights[here] = np.stack([1 - u - v, u, v], axis=1)
            corners = group.corners[group.first[found["geomID"][here]] + face[here]]
            values[here] = np.einsum("ni,nij->nj", weights[here], corners)
        normals = values[:, :3]
        length = np.sqrt(np.einsum("ij,ij->i", normals, normals))
        normals = normals / np.maximum(length, np.float32(1e-12))[:, None]
        _face(normals, flat, rays)
        with np.errstate(invalid="ignore"):
            points = origins + distance[:, None] * rays
        return Hits(distance, points, normals, mesh, values[:, 3:], face, weights)

    def blocked(self, origins: np.ndarray, targets: np.ndarray, clear: bool = False) -> np.ndarray:
        """(N,) whether something stands between two points, which themselves do not count.

        Args:
            origins: (N, 3) or (3,).
            targets: (N, 3); those that are not finite are not blocked.
            clear: glass blocks too.
        """
        starts, rays, _ = _rays(origins, np.asarray(targets) - origins)
        reach = np.full(len(rays), 1 - NEARLY, np.float32)
        found = np.zeros(len(rays), bool)
        for group in self._all:
            if clear or not self._is_clear(group):
                found |= group.embree.run(starts, rays, reach, query="OCCLUDED") >= 0
        return found

    def _is_clear(self, group: _Group) -> bool:
        return any(self.still[n].clear for n in group.numbers[:-1] if n < len(self.still))

    def carried(self, hits: Hits, later: Scene) -> np.ndarray:
        """(N, 3) where the places on surfaces that were hit are at another moment of the same scene."""
        points = hits.points.copy()
        for number, mesh in enumerate(later.moving, len(self.still)):
            on = np.flatnonzero(hits.mesh == number)
            if len(on):
                corners = mesh.vertices[mesh.faces[hits.face[on]]]
                points[on] = np.einsum("ni,nij->nj", hits.weights[on], corners)
        return points


def _rays(origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Origins and directions (N, 3) as embree wants them, and which of them (N,) are finite."""
    directions = np.ascontiguousarray(directions, np.float32)
    sane = np.ones(len(directions), bool)
    rays = directions
    if not np.isfinite(directions).all():
        sane = np.isfinite(directions).all(axis=1)
        rays = np.where(sane[:, None], directions, np.float32(0))
    return np.ascontiguousarray(np.broadcast_to(origins, directions.shape), np.float32), rays, sane


def _face(normals: np.ndarray, flat: np.ndarray, rays: np.ndarray) -> None:
    """Turn blended normals (N, 3), in place, to the side of the triangle that the rays (N, 3) come from.

    Which side that is the triangle's own normal (N, 3) tells. Near a silhouette a blended one may lean away from the
    ray all the same; it is laid back until the ray grazes it.
    """
    side = np.sign(np.einsum("ij,ij->i", flat, rays)) * np.sign(np.einsum("ij,ij->i", flat, normals))
    normals[side > 0] *= -1
    leaning = np.einsum("ij,ij->i", normals, rays)
    away = np.flatnonzero(leaning > 0)
    if len(away):
        ray = rays[away]
        laid = normals[away] - ray * (leaning[away] / np.einsum("ij,ij->i", ray, ray))[:, None]
        normals[away] = laid / np.maximum(np.sqrt(np.einsum("ij,ij->i", laid, laid)), np.float32(1e-12))[:, None]


def _corners(mesh: Mesh) -> np.ndarray:
    """(F, 3, 3 + C) normal and paint of each corner of each face."""
    if mesh.normals is None:
        a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
        normals = np.repeat(np.cross(b - a, c - a)[:, None], 3, axis=1)
    else:
        normals = mesh.normals[mesh.faces]
    parts = [normals] if mesh.paint is None else [normals, mesh.paint[mesh.faces]]
    return np.concatenate(parts, axis=2).astype(np.float32)


def look(scene: Scene, camera: Camera, pose: np.ndarray) -> Hits:
    """What every pixel of a camera sees, row by row.

    The rays have z = 1 in the camera's axes, so ``distance`` is z-depth.

    Args:
        scene: the world.
        camera: of any model.
        pose: (4, 4) camera-to-world.
    """
    return scene.cast(pose[:3, 3], directions(camera, pose))


def directions(camera: Camera, pose: np.ndarray, uv: np.ndarray | None = None) -> np.ndarray:
    """(N, 3) float32 rays in world axes of all pixels, row by row, or of places uv (N, 2) in the image; z = 1 in the
    camera's axes, not finite where the lens shows nothing."""
    rays = camera.rays(np.empty(0, np.float32)) if uv is None else camera.unproject(uv.astype(np.float32))
    return np.einsum("nj,ij->ni", rays.reshape(-1, 3), pose[:3, :3].astype(np.float32))


def ball(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) on the unit sphere and faces (F, 3), evenly spread.

    Raises:
        ConfigError: trimesh is not installed.
    """
    try:
        import trimesh
    except ImportError:
        raise ConfigError(NEEDED) from None
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    return np.asarray(sphere.vertices), np.asarray(sphere.faces)


def smooth_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals of vertices (V, 3): the mean over the neighbouring faces (F, 3), weighted by area."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    across, total = np.cross(b - a, c - a), np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], across)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
