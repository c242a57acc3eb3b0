"""What an exported file takes and gives; it says so itself, in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from leadline.checkpoint import KEY, Card
from leadline.errors import InputError

#: The metadata key, beside the card's :data:`leadline.checkpoint.KEY`.
INTERFACE = "leadline_interface"

#: Form, what it is.
FORMS = {
    "image": "single images",
    "stream": "the next frame of a video, with a state that goes in and comes out",
    "window": "so many frames of a video together",
    "rig": "all views of a rig together",
}


@dataclass(frozen=True)
class Interface:
    """What a file takes and gives.

    Args:
        form: a key of :data:`FORMS`.
        stride: what sides of images should be multiples of, where any size goes in.
        size: (height, width) of the images it takes; None where any size goes.
        raw: it takes pictures as they are, (B, H, W, 3) uint8, and gives maps (B, H, W) of their size; else it takes
            (B, 3, H, W) float32 in [0, 1] of about the size trained at and gives (B, 1, H, W).
        seen: (height, width) at which the network inside a raw file looks at them.
        state: channels and stride of the state of a stream; before the first frame it is all zeros.
        frames: of a window.
        int8: its layers compute with 8 bits, but those that are named in ``floats``.
        floats: layers kept in float.
    """

    form: str = "image"
    stride: int = 32
    size: tuple[int, int] | None = None
    raw: bool = False
    seen: tuple[int, int] | None = None
    state: tuple[int, int] | None = None
    frames: int = 1
    int8: bool = False
    floats: tuple[str, ...] = ()

    def state_shape(self, batch: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Shape of the state for images of that size."""
        assert self.state is not None
        channels, stride = self.state
        rows, columns = (-(-side // self.stride) * self.stride // stride for side in self.seen or (height, width))
        return batch, channels, rows, columns

    def metadata(self, card: Card) -> dict[str, str]:
        """Everything a file says of itself, as text entries: for leadline the card and this, for all others kind, unit,
        input, output, normalisation and licence in words."""
        sides = ("height", "width") if self.size is None else self.size
        count = {"image": "batch", "stream": "batch", "window": str(self.frames), "rig": "views"}[self.form]
        if self.raw:
            takes = f"({count}, {sides[0]}, {sides[1]}, 3) uint8 RGB"
            gives = f"({count}, {sides[0]}, {sides[1]})"
        else:
            takes = f"({count}, 3, {sides[0]}, {sides[1]}) float32 RGB in [0, 1]"
            gives = f"({count}, 1, {sides[0]}, {sides[1]})"
        if self.state is not None:
            takes += f"; and the state the frame before gave, {self.state[0]} channels, zeros before the first"
        if self.form == "rig":
            takes += "; and pairs (P, 2) int64: view a looks at view b"
        if card.focal is not None and self.raw:
            takes += "; and focal (1,) float32: focal length in pixels of these images"
        elif card.focal is not None:
            gives += f", for a focal length of {card.focal:g} pixels of the input; times the ratio for another"
        return {
            KEY: card.to_json(),
            INTERFACE: json.dumps(asdict(self)),
            "kind": card.kind,
            "unit": card.unit,
            "input": f"{FORMS[self.form]}: {takes}",
            "output": f"{gives} {card.kind}, unit {card.unit}",
            "normalisation": "inside the graph",
            "licence": card.licence,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> Self | None:
        """The interface among a file's entries, None where it has none.

        Raises:
            InputError: it cannot be read; the message names ``where``.
        """
        if INTERFACE not in metadata:
            return None
        try:
            entries = json.loads(metadata[INTERFACE])
            for key in ("size", "seen", "state", "floats"):
                if entries.get(key) is not None:
                    entries[key] = tuple(entries[key])
            interface = cls(**entries)
            if interface.form not in FORMS:
                raise ValueError(f"form '{interface.form}'")
            if interface.raw and interface.seen is None:
                raise ValueError("raw, but not what size it is brought to")
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{where}: what it takes and gives cannot be read ({error}); a newer leadline may have written it"
            ) from None
        return interface
