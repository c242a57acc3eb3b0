"""World ``street``."""

from leadline.worlds.street.place import Street, ring

__all__ = ["Street", "ring"]
