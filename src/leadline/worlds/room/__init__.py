"""World ``room``."""

from leadline.worlds.room.place import Room

__all__ = ["Room"]
