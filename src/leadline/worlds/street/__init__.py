"""World ``street``."""

from leadline.worlds.street.place import Street

__all__ = ["Street"]
