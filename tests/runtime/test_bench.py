from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline import checkpoint
from leadline.depth import Kind
from leadline.foundation.base import DepthModel
from leadline.runtime.bench import Pipeline, Row, draw, energy, rate, time_in_turns, untrained, weights_mb
from leadline.runtime.machine import EnergyMeter

IMAGE = np.zeros((48, 64, 3), np.uint8)


class Counting(DepthModel):
    """Says how often it was asked, and remembers it where it sees video."""

    name, licence, digest, unit = "counting", "mit", "counting", "m"
    kind = Kind.parse("metric-depth")

    def __init__(self, remembers: bool = False) -> None:
        self.remembers = remembers
        self.seen: list[tuple[int, ...]] = []
        self.memories: list[object] = []
        self.layer = torch.nn.Linear(10, 5)

    def input_size(self, height, width):
        return height // 2, width // 2

    def infer(self, images):
        self.seen.append(tuple(images.shape))
        return torch.full((len(images), 6, 8), 2.0)

    def infer_next(self, image, memory=None):
        self.memories.append(memory)
        return self.infer(image), (memory or 0) + 1


def test_a_pipeline_goes_from_an_image_to_a_map_of_its_size():
    model = Counting()
    pipeline = Pipeline(model, IMAGE, batch=3)
    assert pipeline.size == (24, 32)
    maps = pipeline.post(pipeline.network(pipeline.pre()))
    assert [depth.shape for depth in maps] == [(48, 64)] * 3
    assert np.allclose(maps[0].values, 2)
    assert set(model.seen) == {(3, 3, 24, 32)}
    assert len(pipeline()) == 3
    assert Pipeline(model, IMAGE, (32, 32)).pre().shape == (1, 3, 32, 32)


def test_a_model_that_sees_video_goes_on_from_what_it_remembers():
    model = Counting(remembers=True)
    pipeline = Pipeline(model, IMAGE)
    pipeline()
    assert model.memories == [None, 1, 2]


def test_rows_are_filled_in_turns():
    models = [Counting(), Counting()]
    rows = [Row("a", "torch", (24, 32)), Row("b", "torch", (24, 32))]
    time_in_turns([Pipeline(model, IMAGE) for model in models], rows, rounds=2, iterations=3)
    assert [len(model.seen) for model in models] == [
        2 + 2 * 4
    ] * 2  # two calls when it was made, one a round to warm up
    for row in rows:
        assert list(row.milliseconds) == ["pre", "network", "post", "whole"]
        assert row.milliseconds["whole"]["min"] >= sum(row.milliseconds[p]["min"] for p in ("pre", "network", "post"))


def test_a_rate_counts_the_calls_of_all_workers_with_one_thread_each():
    threads = torch.get_num_threads()
    counts, seen = [0, 0], set()

    def worker(number: int):
        def run():
            counts[number] += 1
            seen.add(torch.get_num_threads())

        return run

    assert rate([worker(0), worker(1)], 0.01) > 0
    assert min(counts) >= 2
    assert seen == {1}
    assert torch.get_num_threads() == threads
    assert rate([worker(0)], 0.0) > 0


def test_energy_is_that_of_a_call(tmp_path):
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    for name, text in {"name": "package-0", "max_energy_range_uj": "1e12", "energy_uj": "0"}.items():
        (package / name).write_text(text)

    def run():
        file = package / "energy_uj"
        file.write_text(str(float(file.read_text()) + 2e6))

    assert energy(EnergyMeter(tmp_path), run, 0.01)["package-0"] == pytest.approx(2)
    assert energy(EnergyMeter(tmp_path / "none"), run, 0.01).get("package-0") is None


def test_weights_are_counted():
    assert weights_mb(Counting()) == pytest.approx(55 * 4 / 1e6)


def test_an_architecture_gets_the_same_random_weights_every_time(tmp_path):
    state = torch.random.get_rng_state()
    one = checkpoint.load(untrained("litenet-tiny", tmp_path))
    two = checkpoint.load(untrained("litenet-tiny", tmp_path / "again"))
    assert all(torch.equal(one[0][name], two[0][name]) for name in one[0])
    assert "random" in one[1].data
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_not_known_is_null_in_json_and_absent_in_the_picture(tmp_path):
    row = Row("a", "torch", (24, 32))
    assert row.plain()["batch"] is None
    time_in_turns([Pipeline(Counting(), IMAGE)], [row], 1, 2)
    draw([row], "a machine", tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 5000
