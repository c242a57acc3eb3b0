from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from leadline import checkpoint
from leadline.checkpoint import KEY, Card
from leadline.errors import ConfigError, InputError, KindError


def card(**changes) -> Card:
    return Card(**{"architecture": "swift", "kind": "metric-depth", "unit": "m", "input_size": (64, 96),
                   "depth_range": (0.1, 10), "teacher": {"name": "t", "licence": "mit"}} | changes)  # fmt: skip


def test_weights_and_card_come_back(tmp_path):
    weights = {"a": torch.rand(3, 4).T, "b": torch.tensor(2)}
    checkpoint.save(tmp_path / "m.safetensors", weights, card())
    loaded, read = checkpoint.load(tmp_path / "m.safetensors")
    assert read == card()
    assert all(torch.equal(weights[name], loaded[name]) for name in weights)


def test_a_folder_is_a_checkpoint_too(tmp_path):
    checkpoint.save(tmp_path / "model.safetensors", {"a": torch.zeros(1)}, card())
    assert checkpoint.read_card(tmp_path) == card()


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoint.read_card(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(InputError, match=r"text\.safetensors: not a readable"):
        checkpoint.read_card(tmp_path / "text.safetensors")
    (tmp_path / "net.xml").write_text("<net/>")
    with pytest.raises(InputError, match=r"net\.xml: a network for another runtime"):
        checkpoint.read_card(tmp_path / "net.xml")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="not a leadline checkpoint"):
        checkpoint.read_card(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        checkpoint.save(tmp_path / "m.pth", {}, card())


def test_a_card_with_an_unknown_key_is_refused_with_a_suggestion(tmp_path):
    entries = json.loads(card().to_json()) | {"licens": "mit"}
    save_file({"a": torch.zeros(1)}, tmp_path / "m.safetensors", {KEY: json.dumps(entries)})
    with pytest.raises(InputError, match="did you mean 'licence'"):
        checkpoint.read_card(tmp_path / "m.safetensors")


def test_a_card_checks_itself():
    with pytest.raises(ConfigError):
        card(kind="metric")
    with pytest.raises(KindError):
        card(unit="arbitrary")
