"""The models that come with leadline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import leadline
from leadline import checkpoint, worlds
from leadline.data.dataset import open_dataset
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.foundation import load
from leadline.foundation.licences import is_restricted
from leadline.protocols.candidate import asked
from leadline.protocols.folder import FOLDER


def test_bundled_models_are_small_and_say_what_they_are():
    files = checkpoint.bundled()
    folder = files["leadline-tract"].parent
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 40e6
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


def test_the_general_model_in_int8_answers_as_it_does_in_float():
    whole, small = leadline.load("leadline-general"), leadline.load("leadline-general-int8")
    assert small.model.kind == whole.model.kind
    assert is_restricted(small.model.licence) == is_restricted(whole.model.licence)
    image = worlds.create("room", height=192, width=256).clip(900_000, 1)[0].image
    answer, wanted = small.predict(image), whole.predict(image)
    ratio = answer.align_to(wanted, "median").values / wanted.values
    assert np.mean(np.abs(ratio - 1)) < 0.05


def test_a_file_of_that_name_comes_first_and_a_misspelt_name_is_answered(tmp_path, monkeypatch, student_file):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="did you mean 'leadline-tract'"):
        load("leadline-trct")
    (tmp_path / "leadline-tract").mkdir()
    (tmp_path / "leadline-tract" / "model.safetensors").write_bytes(student_file.read_bytes())
    assert load("leadline-tract").card.architecture == "litenet-tiny"


def test_every_bundled_model_says_what_it_is_not_good_for(tmp_path, monkeypatch):
    for name in checkpoint.bundled() | checkpoint.bundled_exports():
        note = checkpoint.caveat(name)
        assert "never" in note or "not" in note, name
        assert "\n" not in note
        assert note.isascii(), "it travels in a header of HTTP"
    assert checkpoint.caveat("student.safetensors") == ""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leadline-tract").mkdir()
    assert checkpoint.caveat("leadline-tract") == "", "a folder of that name comes first"


@pytest.mark.parametrize(
    ("data", "folder", "options", "limits"),
    [("sevenscenes", "sevenscenes", {"split": "all", "every": 60}, (0.1, 10.0)),
     ("kitti-object", "kitti_object", {}, (1.0, 80.0)),
     ("kitti", "kitti_raw", {"split": "all"}, (1.0, 80.0))],
)  # fmt: skip
def test_the_general_model_knows_more_of_real_frames_than_their_rows(data, folder, options, limits, real_data):
    rules = replace(FOLDER, alignment="lsq-disparity", min_depth=limits[0], max_depth=limits[1], scores=())
    frames = open_dataset(data, real_data / folder, **options)

    def rows(image):
        height, width = image.shape[:2]
        low = np.tile(np.arange(1.0, height + 1)[:, None] / height, (1, width))
        return DepthMap(low, "scale-invariant-disparity")

    predictor = leadline.load("leadline-general")
    candidates = [asked("rows", rows), asked("model", predictor.predict, predictor.model.parallel)]
    prior, model = (rules.evaluate(candidate, frames).means for candidate in candidates)
    assert model["abs_rel"] < 0.95 * prior["abs_rel"]
    assert model["delta1"] > prior["delta1"]
