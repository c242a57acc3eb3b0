"""Rays against triangles, by Intel's embree: what a camera sees of a scene, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from leadline.camera import Camera
from leadline.errors import ConfigError

NEEDED = "rendering a world needs: pip install 'leadline[worlds]'"


@dataclass(frozen=True)
class Mesh:
    """Triangles of one thing.

    Args:
        vertices: (V, 3) in world axes.
        faces: (F, 3) indices of vertices.
        normals: (V, 3) unit vectors, blended over each triangle; None for flat triangles.
        paint: (V, C) whatever else is known of the surface, blended alike; all meshes of a scene have the same C.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    paint: np.ndarray | None = None


@dataclass(frozen=True)
class Hits:
    """Where rays end.

    Args:
        distance: (N,) in lengths of the ray's direction; inf where nothing is hit.
        points: (N, 3) world axes; not finite where nothing is hit.
        normals: (N, 3) unit, turned towards where the ray came from.
        mesh: (N,) index of the mesh, -1 where nothing is hit.
        paint: (N, C) of the meshes, 0 where nothing is hit.
    """

    distance: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    mesh: np.ndarray
    paint: np.ndarray

    def take(self, which: np.ndarray) -> Hits:
        """Some of them: indices or flags (N,)."""
        return Hits(*(getattr(self, field.name)[which] for field in fields(self)))


class Scene:
    """Meshes that rays can be cast into.

    Args:
        meshes: the things in it.

    Raises:
        ConfigError: embree is not installed.
    """

    def __init__(self, meshes: Sequence[Mesh]) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError:
            raise ConfigError(NEEDED) from None
        self.meshes = list(meshes)
        self._embree = EmbreeScene()
        # What the three corners of each face know, side by side: one place in memory to look at for a hit.
        self._corners = [_corners(mesh) for mesh in self.meshes]
        # Embree numbers geometries in the order they are added.
        self._kept = [
            TriangleMesh(self._embree, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))
            for mesh in self.meshes
        ]

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """The first thing each ray meets.

        Args:
            origins: (N, 3) or (3,).
            directions: (N, 3), of any length; rays that are not finite hit nothing.
        """
        directions = np.ascontiguousarray(directions, np.float32)
        sane = np.isfinite(directions.sum(axis=1))
        rays = np.where(sane[:, None], directions, np.float32(0))
        origins = np.ascontiguousarray(np.broadcast_to(origins, directions.shape), np.float32)
        found = self._embree.run(origins, rays, query="INTERSECT", output=1)
        mesh = np.where(sane, found["geomID"], -1)
        distance = np.where(mesh >= 0, found["tfar"], np.float32(np.inf))
        normals, paint = self._blended(mesh, found)
        _face(normals, found["Ng"], rays)
        with np.errstate(invalid="ignore"):
            points = origins + distance[:, None] * rays
        return Hits(distance, points, normals, mesh, paint)

    def _blended(self, mesh: np.ndarray, found: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Unit normals and paint, from the corners of the triangles."""
        values = np.zeros((len(mesh), max((corners.shape[2] for corners in self._corners), default=3)), np.float32)
        for index, corners in enumerate(self._corners):
            hit = np.flatnonzero(mesh == index)
            u, v = found["u"][hit], found["v"][hit]
            weights = np.stack([1 - u - v, u, v], axis=1)
            values[hit] = np.einsum("ni,nij->nj", weights, corners[found["primID"][hit]])
        normals = values[:, :3]
        length = np.sqrt(np.einsum("ij,ij->i", normals, normals))
        return normals / np.maximum(length, np.float32(1e-12))[:, None], values[:, 3:]


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
    rays = camera.rays(np.empty(0, np.float32)).reshape(-1, 3) @ pose[:3, :3].T.astype(np.float32)
    return scene.cast(pose[:3, 3], rays)


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
