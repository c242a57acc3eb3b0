"""The models that come with leadline."""

from __future__ import annotations

import numpy as np
import pytest

import leadline
from leadline import checkpoint, worlds
from leadline.errors import InputError
from leadline.foundation import load
from leadline.foundation.licences import is_restricted


def test_bundled_models_are_small_and_say_what_they_are():
    files = checkpoint.bundled()
    assert sum(path.stat().st_size for path in files.values()) <= 40e6
    assert files["leadline-tract"].stat().st_size <= 15e6
    for name in files:
        card = checkpoint.read_card(name)
        assert not is_restricted(card.licence), name
        assert card.data
        assert card.metrics
        assert card.recipe


def test_the_teacher_knows_tubes_it_has_never_seen():
    predictor = leadline.load("leadline-tract")
    assert str(predictor.model.kind) == "scale-invariant-depth"
    world = worlds.create("tract", pools=0, bubbles=0, tools=0, rate=1)
    errors = []
    for seed in range(900_001, 900_007):
        frame = world.clip(seed, 2)[1]
        judged = (frame.depth.values > 1) & (frame.depth.values < 150)
        answer = predictor.predict(frame.image).align_to(frame.depth, "median").values
        errors.append(np.mean((np.abs(answer - frame.depth.values) / frame.depth.values)[judged]))
    assert np.mean(errors) < 0.12


def test_a_file_of_that_name_comes_first_and_a_misspelt_name_is_answered(tmp_path, monkeypatch, student_file):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="did you mean 'leadline-tract'"):
        load("leadline-trct")
    (tmp_path / "leadline-tract").mkdir()
    (tmp_path / "leadline-tract" / "model.safetensors").write_bytes(student_file.read_bytes())
    assert load("leadline-tract").card.architecture == "litenet-tiny"
