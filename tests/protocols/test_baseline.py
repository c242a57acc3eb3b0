from __future__ import annotations

import numpy as np
import pytest

from leadline.data.folder import Folder
from leadline.errors import InputError
from leadline.protocols.baseline import MeanDepth
from leadline.protocols.candidate import asked
from leadline.protocols.folder import FOLDER


def test_the_mean_depth_is_one_answer_for_all_in_what_can_be_known(scenes):
    frames = Folder(scenes)
    mean = MeanDepth(frames, "mm")
    for predict, kind, unit in (
        (mean.metric, "metric-depth", "mm"),
        (mean.relative, "scale-invariant-depth", "arbitrary"),
    ):
        one, two = predict(frames[0].image), predict(np.zeros((48, 64, 3), np.float32))
        assert (str(one.kind), one.unit) == (kind, unit)
        assert two.shape == (48, 64)
        np.testing.assert_array_equal(one.values[1::2, 1::2], two.values)
        stacked = np.stack([frames[i].depth.values for i in range(len(frames))])
        if unit == "mm":
            stacked = 1000 * stacked
        else:
            stacked = stacked / np.array([np.sort(d.ravel())[(d.size - 1) // 2] for d in stacked])[:, None, None]
        np.testing.assert_allclose(one.values, np.exp(np.log(stacked).mean(0)), rtol=1e-4)


def test_it_is_judged_like_a_model(scenes):
    frames = Folder(scenes)
    result = FOLDER.evaluate(asked("mean depth", MeanDepth(frames, "m").relative), frames)
    assert result.protocol["alignment"] == "median"
    assert 0.02 < result.means["abs_rel"] < 0.6


def test_images_of_several_sizes_have_no_mean(scenes, tmp_path):
    from PIL import Image

    for number, size in enumerate(((8, 6), (9, 6))):
        for folder in ("images", "depths"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.new("RGB", size).save(tmp_path / "images" / f"{number}.png")
        np.save(tmp_path / "depths" / f"{number}.npy", np.ones(size[::-1], np.float32))
    with pytest.raises(InputError, match=r"1\.png: .*one size"):
        MeanDepth(Folder(tmp_path), "m")


def test_without_valid_depth_there_is_no_mean(tmp_path):
    from PIL import Image

    for folder in ("images", "depths"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "images" / "0.png")
    np.save(tmp_path / "depths" / "0.npy", np.full((6, 8), np.nan, np.float32))
    with pytest.raises(InputError, match="none of 1 images has valid depth"):
        MeanDepth(Folder(tmp_path), "m")
