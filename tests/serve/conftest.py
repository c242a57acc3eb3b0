from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import leadline
from common.served import client_of
from leadline.io.video import write_video


@pytest.fixture(scope="session")
def client(bright_teacher, tmp_path_factory) -> TestClient:
    """Of a service within this process, whose model answers 1 / (mean of the colours + 0.05)."""
    with client_of(bright_teacher, tmp_path_factory.mktemp("spool")) as client:
        yield client


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A PNG of 128x96 pixels, of one grey: its depth is 1 / 0.45."""
    file = io.BytesIO()
    Image.fromarray(np.full((96, 128, 3), 102, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """A video of 12 frames."""
    images = [np.full((96, 128, 3), 10 * number, np.uint8) for number in range(1, 13)]
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", 10, images)


@pytest.fixture(scope="session")
def affine_client(bright_teacher, tmp_path_factory) -> TestClient:
    """As ``client``, of a model whose disparity is known up to scale and shift."""
    folder = tmp_path_factory.mktemp("affine")
    (folder / "affine.onnx").write_bytes(bright_teacher.read_bytes())
    card = (bright_teacher.parent / "bright.card.yaml").read_text()
    (folder / "affine.card.yaml").write_text(card.replace("scale-invariant-depth", "affine-invariant-disparity"))
    assert str(leadline.load(str(folder / "affine.onnx")).model.kind) == "affine-invariant-disparity"
    with client_of(folder / "affine.onnx", folder / "spool") as client:
        yield client
