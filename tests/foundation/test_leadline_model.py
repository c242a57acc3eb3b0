from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from leadline.checkpoint import Card
from leadline.errors import ConfigError, InputError
from leadline.foundation import load
from leadline.foundation.leadline_model import LeadlineModel, input_size


@pytest.fixture
def model(student_file) -> LeadlineModel:
    return LeadlineModel.open(student_file)


def test_a_checkpoint_predicts_in_its_range(model):
    depth = model(torch.rand(2, 3, 70, 101))
    assert depth.shape == (2, 70, 101)
    assert depth.min() >= 0.5
    assert depth.max() <= 20


@pytest.mark.parametrize(("height", "width"), [(480, 640), (720, 1280), (1080, 608), (375, 1242), (64, 4000)])
def test_images_are_seen_at_about_the_trained_size_without_bending_them(height, width):
    card = Card("swift", "affine-invariant-disparity", "arbitrary", (256, 320))
    h, w = input_size(card.input_size, 32, height, width)
    assert h % 32 == w % 32 == 0
    if max(height, width) < 4 * min(height, width):
        assert 0.7 < h * w / (256 * 320) < 1.4
        assert abs(np.log(w / h * height / width)) < 0.2


def test_saved_for_the_hub_it_is_the_same_model(model, tmp_path):
    model.save_pretrained(tmp_path / "hub")
    again = LeadlineModel.from_pretrained(str(tmp_path / "hub"))
    assert again.card == model.card
    assert again.digest == model.digest
    image = torch.rand(1, 3, 64, 96)
    assert torch.equal(again(image), model(image))
    readme = (tmp_path / "hub" / "README.md").read_text()
    assert readme.startswith("---\nlibrary_name: leadline")
    assert "metric-depth" in readme
    assert "apache-2.0" in readme
    assert type(load(tmp_path / "hub")) is LeadlineModel


class Hub:
    """What of the hub's interface a push uses."""

    pushed: list[tuple[str, list[str]]]

    def __init__(self, token=None) -> None:
        pass

    def create_repo(self, name, exist_ok=False, **options) -> None:
        Hub.pushed = []

    def upload_folder(self, repo_id, folder_path) -> str:
        from pathlib import Path

        Hub.pushed.append((repo_id, sorted(path.name for path in Path(folder_path).iterdir())))
        return f"https://hub/{repo_id}"


def test_a_push_uploads_weights_and_card_once_the_licence_is_accepted(model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert model.push_to_hub("me/tiny") == "https://hub/me/tiny"
    assert Hub.pushed == [("me/tiny", ["README.md", "model.safetensors"])]
    model.card = dataclasses.replace(
        model.card, licence="distilled from a teacher under cc-by-nc-4.0: non-commercial use only"
    )
    Hub.pushed = []
    with pytest.raises(ConfigError, match="non-commercial"):
        model.push_to_hub("me/tiny")
    assert Hub.pushed == []
    model.push_to_hub("me/tiny", accept_licence=True)
    assert len(Hub.pushed) == 1


def test_what_cannot_be_reached_is_said(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="neither a folder here nor a repository"):
        LeadlineModel.from_pretrained("nobody/nothing")
