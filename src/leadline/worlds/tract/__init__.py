"""World ``tract``."""

from leadline.worlds.tract.place import Tract

__all__ = ["Tract"]
