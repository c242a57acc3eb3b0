from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.errors import ConfigError, InputError
from leadline.foundation.long_video import STRATEGIES, long_video
from leadline.networks.video import frame_size

LENGTHS = [1, 5, 22, 23, 24, 25, 31, 32, 33, 46, 47, 54, 55, 100]
SIZE = (6, 7)
both = pytest.mark.parametrize("strategy", ["vda", "endodav"])

Infer = Callable[[Sequence[np.ndarray]], np.ndarray]


def video(length: int, seed: int = 0) -> list[np.ndarray]:
    """Frames that are their own disparity."""
    rng = np.random.default_rng(seed)
    return list(rng.uniform(0.1, 3, (length, *SIZE)).astype(np.float32))


class Network:
    """Gives the frames as disparity, in a scale and shift of each window's own, with noise; knows what it was shown."""

    def __init__(self, noise: float = 0.0) -> None:
        self.rng = np.random.default_rng(1)
        self.noise = noise
        self.shown: list[list[int]] = []
        self.scales: list[float] = []
        self.shifts: list[float] = []

    def __call__(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        self.shown.append([id(frame) for frame in frames])
        self.scales.append(float(self.rng.uniform(0.3, 2)))
        self.shifts.append(float(self.rng.uniform(1, 2)) if self.shifts else 0.0)
        maps = np.stack(frames) * self.scales[-1] + self.shifts[-1]
        return np.maximum(maps + self.noise * self.rng.normal(size=maps.shape), 0).astype(np.float32)


def whole_video(frames: list[np.ndarray], infer: Infer, strategy: str) -> tuple[np.ndarray, int]:
    """The public rules with the whole video at hand, in float64; also how many values were below 0."""
    padded = frames + [frames[-1]] * 32
    shown: list[list[np.ndarray]] = []
    for first in range(0, len(frames), 22):
        inputs = (padded + [frames[-1]] * 32)[first : first + 32]
        if shown:
            keyframe = {"vda": 0, "endodav": 6}[strategy]
            inputs[:10] = [shown[-1][slot] for slot in (keyframe, 12, 24, 25, 26, 27, 28, 29, 30, 31)]
        shown.append(inputs)
    windows = [infer(inputs).astype(np.float64) for inputs in shown]

    aligned = [windows[0]]
    video = list(windows[0])
    below = 0
    for current in windows[1:]:
        previous = aligned[-1]
        if strategy == "vda":
            x, y = current[[0, 1]], np.stack([windows[0][0], previous[12]])
        else:
            x, y = current[2:10], previous[24:32]
        design = np.stack([x.ravel(), np.ones(x.size)], axis=1)
        scale, shift = np.linalg.lstsq(design, y.ravel(), rcond=None)[0]
        line = scale * current + shift
        below += int((line < 0).sum())
        aligned.append(np.where(line < 0, 0, line))
        for i in range(8):
            video[i - 8] = video[i - 8] * (7 - i) / 7 + aligned[-1][2 + i] * i / 7
        video += list(aligned[-1][10:])
    return np.stack(video[: len(frames)]), below


@both
@pytest.mark.parametrize("length", LENGTHS)
def test_it_is_the_rules_on_the_whole_video(strategy, length):
    frames = video(length)
    one, other = Network(noise=0.4), Network(noise=0.4)
    expected, below = whole_video(frames, one, strategy)
    got = list(long_video(frames, other, strategy))
    assert len(got) == length
    assert {(depth.shape, depth.dtype) for depth in got} == {(SIZE, np.dtype(np.float32))}
    np.testing.assert_allclose(np.stack(got), expected, rtol=1e-4, atol=1e-5)
    # the same inputs in the same order, less a last window of which nothing is given
    assert other.shown == one.shown[: len(other.shown)]
    assert len(one.shown) - len(other.shown) == (length % 22 in (1, 2) and length > 22)
    if length == 100:
        assert below > 0  # negative values do occur


def test_strategies_differ():
    frames = video(60)
    vda, endodav = (np.stack(list(long_video(frames, Network(0.4), name))) for name in ("vda", "endodav"))
    assert np.array_equal(vda[:24], endodav[:24])
    assert not np.allclose(vda[24:], endodav[24:], atol=1e-2)


def test_what_the_second_window_and_the_third_see():
    """Frame numbers, written out."""
    tails = [[*range(24, 32)], [*range(46, 54)]]
    for strategy, keyframes in (("vda", ([0, 12], [0, 34])), ("endodav", ([6, 12], [28, 34]))):
        frames = video(76)
        numbers = {id(frame): number for number, frame in enumerate(frames)}
        network = Network()
        list(long_video(frames, network, strategy))
        first, second, third = ([numbers[key] for key in shown] for shown in network.shown[:3])
        assert first == [*range(32)]
        assert second == [*keyframes[0], *tails[0], *range(32, 54)]
        assert third == [*keyframes[1], *tails[1], *range(54, 76)]


@both
def test_scale_and_shift_of_windows_are_undone(strategy):
    frames = video(150)
    network = Network()
    depths = np.stack(list(long_video(frames, network, strategy)))
    assert len(network.scales) == 7
    np.testing.assert_allclose(depths, np.stack(frames) * network.scales[0] + network.shifts[0], rtol=1e-4)


@both
def test_a_constant_stays_exactly_what_it_is(strategy):
    def constant(frames: Sequence[np.ndarray]) -> np.ndarray:
        return np.full((len(frames), *SIZE), 0.7, np.float32)

    assert (np.stack(list(long_video(video(100), constant, strategy))) == np.float32(0.7)).all()


@both
def test_a_fit_that_is_singular_changes_nothing(strategy):
    """Shared places constant, new frames not: the new ones come through as they are."""
    frames = video(54)
    calls = itertools.count()

    def infer(inputs: Sequence[np.ndarray]) -> np.ndarray:
        maps = np.stack(inputs)
        if next(calls):
            maps[:10] = 0.1
        return maps

    assert np.array_equal(list(long_video(frames, infer, strategy))[32:46], frames[32:46])


@both
@given(length=st.integers(0, 120), cut=st.integers(0, 120))
def test_how_frames_arrive_does_not_matter(strategy, length, cut):
    frames = video(length)
    from_list = list(long_video(frames, Network(0.2), strategy))
    chained = itertools.chain(frames[:cut], (frame for frame in frames[cut:]))
    from_generator = list(long_video(chained, Network(0.2), strategy))
    assert len(from_list) == length
    assert all(map(np.array_equal, from_list, from_generator))
    # causal but for a window: a longer video has the same start, up to the frames that the end takes part in
    longer = list(long_video(frames + video(40, seed=9), Network(0.2), strategy))
    assert all(map(np.array_equal, from_list[: length - 32], longer)) or length <= 32


@both
def test_no_more_than_a_window_is_read_ahead(strategy):
    read, largest = 0, 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal read
        for frame in itertools.cycle(video(50)):  # without end
            read += 1
            yield frame

    depths = long_video(frames(), Network(), strategy)
    assert read == 0
    for number in range(200):
        next(depths)
        largest = max(largest, read - number)
    assert largest == 32


@both
def test_memory_does_not_grow_with_the_video(strategy):
    frame = np.linspace(0.5, 3, 64 * 64, dtype=np.float32).reshape(64, 64)
    two_windows = 2 * 32 * frame.nbytes

    def peak(length: int) -> int:
        tracemalloc.start()
        for _ in long_video((frame for _ in range(length)), np.stack, strategy):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(60)
    short, long = peak(200), peak(2000)
    assert long < 1.05 * short
    assert 0.5 * two_windows < long < two_windows


@both
def test_maps_belong_to_the_caller_and_the_models_array_to_the_model(strategy):
    frames = video(100)
    expected = [depth.copy() for depth in long_video(frames, Network(0.2), strategy)]
    network, buffer = Network(0.2), np.empty((32, *SIZE), np.float32)

    def infer(inputs: Sequence[np.ndarray]) -> np.ndarray:
        buffer[:] = network(inputs)
        return buffer

    for depth, right in zip(long_video(frames, infer, strategy), expected, strict=True):
        assert np.array_equal(depth, right)
        depth[:] = -1


@both
def test_other_windows_and_overlaps(strategy):
    frames = video(75)
    network = Network()
    depths = np.stack(list(long_video(frames, network, strategy, window=16, overlap=6)))
    assert {len(shown) for shown in network.shown} == {16}
    np.testing.assert_allclose(depths, np.stack(frames) * network.scales[0] + network.shifts[0], rtol=1e-4)


@both
def test_an_empty_video(strategy):
    network = Network()
    assert list(long_video([], network, strategy)) == []
    assert not network.shown


def broken(call: int, value: Callable[[np.ndarray], np.ndarray]) -> Infer:
    """A model whose answer is spoilt at this call."""
    calls = itertools.count()
    return lambda frames: value(np.stack(frames)) if next(calls) == call else np.stack(frames)


def spoilt(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def spoil(maps: np.ndarray) -> np.ndarray:
        maps[20, 3, 2] = value
        return maps

    return spoil


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda maps: maps[:-1], "must give 32 maps"),
        (lambda maps: maps[:, None], "must give 32 maps"),
        (spoilt(np.nan), "NaN or infinity"),
        (spoilt(np.inf), "NaN or infinity"),
    ],
)
def test_answers_that_are_none(call, value, message):
    with pytest.raises(InputError, match=message):
        list(long_video(video(40), broken(call, value)))


def test_answers_of_another_size():
    with pytest.raises(InputError, match="those of the windows before"):
        list(long_video(video(40), broken(1, lambda maps: maps[:, 1:])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "vdaa"}, "did you mean 'vda'"),
        ({"overlap": 3}, "overlap of at least 4"),
        ({"window": 19}, "window of at least 20"),
        ({"window": 12, "overlap": 4}, "window of at least 13"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):  # before a frame is asked for
        long_video([], Network(), **options)


def test_both_strategies_are_known():
    assert set(STRATEGIES) == {"vda", "endodav"}


@given(height=st.integers(20, 4000), width=st.integers(20, 4000))
def test_frame_sizes(height, width):
    rows, columns = frame_size(height, width)
    assert rows % 14 == columns % 14 == 0
    assert (columns, rows) == frame_size(width, height)
    aspect = max(height, width) / min(height, width)
    lower = 518 if aspect <= 1.78 else max(14, round(int(518 * 1.777 / aspect) / 14) * 14)
    assert min(rows, columns) == lower
    assert abs(max(rows, columns) - lower * aspect) <= 7 + 1e-6


def test_frame_sizes_whose_bound_is_no_multiple():
    assert frame_size(510, 511, lower=510) == (518, 518)  # 504 would be nearer, but lies below
    assert frame_size(100, 100_000) == (14, 14_000)


@pytest.mark.parametrize(
    ("up_to", "scaled", "shifted"), [("affine", True, True), ("scale", True, False), ("nothing", False, False)]
)
def test_only_what_the_model_leaves_open_is_fitted(up_to, scaled, shifted):
    truth = 1 + np.random.default_rng(0).random((60, 4, 5), dtype=np.float32)

    def answers(scale, shift):
        windows = iter([(1.0, 0.0), (scale, shift), (scale, shift)])

        def infer(window):
            factor, offset = next(windows)
            return factor * truth[np.array(window)] + offset

        return np.stack(list(long_video(range(60), infer, up_to=up_to)))

    same = answers(2.0, 0.0)
    assert np.allclose(same, truth, atol=1e-4) == scaled
    assert np.allclose(answers(1.0, 0.5), truth, atol=1e-4) == shifted
    if up_to == "nothing":
        np.testing.assert_allclose(same[40:], 2 * truth[40:], rtol=1e-6)
