from __future__ import annotations

import pytest
import torch

from leadline.errors import InputError
from leadline.foundation.tokens import TokenCache

FEATURES = torch.randn(4, 3, 2, 5, generator=torch.Generator().manual_seed(0))


class Encoder:
    """Gives features of frames, and counts how many it was asked for."""

    def __init__(self, features: torch.Tensor) -> None:
        self.features, self.asked = features, 0

    def __call__(self, chosen: torch.Tensor) -> torch.Tensor:
        self.asked += int(chosen.sum())
        return self.features[chosen]


def test_each_frame_is_asked_for_once_each_way_round(tmp_path):
    cache, index = TokenCache(tmp_path, "d", (32, 80)), torch.tensor([7, 3, 7, 9])
    mirrored = torch.tensor([False, False, True, False])
    encoder = Encoder(FEATURES)
    first = cache.tokens(index, mirrored, encoder)
    again = TokenCache(tmp_path, "d", (32, 80)).tokens(index, mirrored, encoder)
    assert encoder.asked == 4
    assert torch.equal(first, again)
    assert torch.equal(first, FEATURES.half().float())
    some = cache.tokens(index[:2], torch.tensor([False, True]), Encoder(FEATURES[:2] + 1))
    assert torch.equal(some[0], first[0])
    assert torch.equal(some[1], (FEATURES[1] + 1).half().float())


def test_other_weights_and_sizes_have_their_own(tmp_path):
    index, plain = torch.tensor([0, 1, 2, 3]), torch.zeros(4, dtype=torch.bool)
    for digest, size in (("a", (32, 80)), ("b", (32, 80)), ("a", (32, 64))):
        encoder = Encoder(FEATURES)
        TokenCache(tmp_path, digest, size).tokens(index, plain, encoder)
        assert encoder.asked == 4


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        TokenCache(tmp_path / "file", "a", (1, 1)).tokens(
            torch.tensor([0]), torch.tensor([False]), Encoder(FEATURES[:1])
        )
