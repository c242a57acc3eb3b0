"""Worlds as training data for networks that learn what things are."""

from __future__ import annotations

from leadline.frame import Frame
from leadline.training.rendered import Live
from leadline.worlds.raytracing import directions


class LiveClasses(Live):
    """:class:`Live` whose frames also know the class of each pixel, ``Frame.semantics``, which the world names in
    ``classes``."""

    def __getitem__(self, index: int) -> Frame:
        """A frame, rendered now."""
        frame = super().__getitem__(index)  # its place is open from here on
        index = range(len(self))[index]
        place, moment = self._open[self.place(index)], index % self.frames
        pose = place.poses[moment] @ place.mount.pose
        seen = place.scene(moment).cast(pose[:3, 3], directions(place.mount.camera, pose))
        return frame.replace(semantics=place.labels[seen.mesh].reshape(frame.height, frame.width))
