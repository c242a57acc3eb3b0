"""Keep frames apart honestly.

Neighbouring frames of a video are nearly copies, so a random split of one measures memory. Whole blocks are kept
apart instead, with a gap on either side that is neither trained on nor judged.
"""

from __future__ import annotations

from dataclasses import dataclass

from leadline.errors import ConfigError


@dataclass(frozen=True)
class Holdout:
    """Which frames of a sequence are kept apart.

    Args:
        every: one block in so many is kept apart (the last of each group); 0 keeps nothing apart.
        block: frames in a block; 0 chooses by the number of frames: 40 for a video of thousands, 1 for a handful.
        gap: frames left out on either side of a kept block; -1 chooses an eighth of the block.
    """

    every: int = 6
    block: int = 0
    gap: int = -1

    def split(self, count: int) -> tuple[list[int], list[int]]:
        """Indices to train on and indices kept apart, for ``count`` frames in order.

        Example:
            >>> Holdout(every=2, block=3, gap=1).split(12)
            ([0, 1, 7], [3, 4, 5, 9, 10, 11])

        Raises:
            ConfigError: nothing would be left to train on, or a setting is impossible.
        """
        if self.every < 0 or self.every == 1 or self.block < 0 or self.gap < -1:
            raise ConfigError(f"holdout: every must be 0 or at least 2, block and gap not negative, not {self}")
        if self.every == 0:
            return list(range(count)), []
        block = self.block or max(1, min(40, count // (3 * self.every)))
        gap = self.gap if self.gap >= 0 else block // 8
        kept = {index for index in range(count) if (index // block) % self.every == self.every - 1}
        near = {index + offset for index in kept for offset in range(-gap, gap + 1)}
        train = [index for index in range(count) if index not in near]
        if not train:
            raise ConfigError(f"holdout: {self} leaves none of {count} frames to train on")
        return train, sorted(kept)
