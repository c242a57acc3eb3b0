from __future__ import annotations

import pytest

from leadline.errors import ConfigError
from leadline.networks import create, has_pretrained, names


def test_names_are_all_variants() -> None:
    expected = {"litenet-tiny", "litenet-small", "litenet", "litenet-8m", "swift", "swift-lite1", "swift-lite2"}
    assert expected <= set(names())
    assert names() == sorted(names())


def test_unknown_name_is_told_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"litenet-tiny.*did you mean 'swift'"):
        create("swiftt")


def test_unknown_option_is_told_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"litenet-tiny: no option 'decodr'.*did you mean 'decoder'"):
        create("litenet-tiny", decodr="litenet")


def test_every_network_takes_pretrained_false_but_not_true_without_weights() -> None:
    assert create("litenet-tiny", pretrained=False).options == {}
    with pytest.raises(ConfigError, match="pretrained"):
        create("litenet-tiny", pretrained=True)


def test_pretrained_features_are_swifts() -> None:
    assert has_pretrained("swift")
    assert not has_pretrained("litenet")


def test_network_remembers_how_it_was_built() -> None:
    network = create("litenet-tiny", decoder="litemono")
    assert (network.architecture, network.options) == ("litenet-tiny", {"decoder": "litemono"})
