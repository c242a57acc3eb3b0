from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.serve.batching import Batcher
from leadline.serve.problems import Overloaded


class Network:
    """Doubles numbers; notes what ran together; may be held up, and cannot run 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()

    def __call__(self, batch: list[int]) -> list[int]:
        self.begun.set()
        self.go.wait(10)
        self.threads.add(threading.get_ident())
        self.batches.append(batch)
        if 13 in batch:
            raise ValueError("thirteen")
        return [2 * number for number in batch]

    async def hold(self, batcher: Batcher) -> asyncio.Task:
        """Keeps the thread busy, so that what is asked gathers."""
        self.go.clear()
        task = asyncio.create_task(batcher.ask("held", 0))
        await asyncio.to_thread(self.begun.wait, 10)
        return task


def test_what_gathers_runs_together_in_order_and_only_with_its_like():
    async def main() -> None:
        network = Network()
        async with Batcher(network, most=3, wait=0) as batcher:
            held = await network.hold(batcher)
            asked = [asyncio.create_task(batcher.ask(key, number)) for number, key in enumerate("aabaaba", start=1)]
            await asyncio.sleep(0)
            network.go.set()
            assert await asyncio.gather(held, *asked) == [0, 2, 4, 6, 8, 10, 12, 14]
        assert network.batches == [[0], [1, 2, 4], [3, 6], [5, 7]]
        assert len(network.threads) == 1

    asyncio.run(main())


def test_the_oldest_waits_for_mates_and_not_longer_than_it_has_to():
    async def main() -> None:
        network = Network()
        async with Batcher(network, most=2, wait=60) as batcher:
            assert await asyncio.gather(batcher.ask("a", 1), batcher.ask("a", 2)) == [2, 4]
        async with Batcher(network, most=2, wait=0.01) as batcher:
            assert await batcher.ask("a", 3) == 6
        assert network.batches == [[1, 2], [3]]

    asyncio.run(main())


def test_one_that_cannot_be_run_harms_no_other():
    async def main() -> None:
        network = Network()
        async with Batcher(network, most=8, wait=0) as batcher:
            held = await network.hold(batcher)
            asked = [asyncio.create_task(batcher.ask("a", number)) for number in (1, 13, 2)]
            await asyncio.sleep(0)
            network.go.set()
            await held
            first, second, third = await asyncio.gather(*asked, return_exceptions=True)
            assert (first, third) == (2, 4)
            assert isinstance(second, ValueError)
            assert await batcher.ask("a", 5) == 10
            assert batcher.alive
        assert not batcher.alive

    asyncio.run(main())


def test_a_wrong_number_of_results_is_an_error_and_not_an_end():
    async def main() -> None:
        async with Batcher(lambda batch: [], wait=0) as batcher:
            with pytest.raises(RuntimeError, match="0 results of 1 items"):
                await batcher.ask("a", 1)
            assert batcher.alive

    asyncio.run(main())


def test_places_are_bounded_and_given_back():
    async def main() -> None:
        async with Batcher(Network(), places=2) as batcher:
            with batcher.place():
                with batcher.place(), pytest.raises(Overloaded) as refused, batcher.place():
                    pass
                assert refused.value.status == 429
                assert int(refused.value.headers["Retry-After"]) >= 1
                with pytest.raises(ZeroDivisionError), batcher.place():
                    1 / 0
                with batcher.place():
                    assert batcher.taken == 2
            assert batcher.taken == 0

    asyncio.run(main())


def test_what_nobody_waits_for_is_not_run():
    async def main() -> None:
        network = Network()
        async with Batcher(network, wait=0) as batcher:
            held = await network.hold(batcher)
            gone, kept = (asyncio.create_task(batcher.ask("a", number)) for number in (1, 2))
            await asyncio.sleep(0)
            gone.cancel()
            network.go.set()
            assert await asyncio.gather(held, kept) == [0, 4]
        assert network.batches == [[0], [2]]

    asyncio.run(main())


def test_the_end_finishes_what_was_asked():
    async def main() -> None:
        network = Network()
        async with Batcher(network, most=2, wait=60) as batcher:
            asked = [asyncio.create_task(batcher.ask("a", number)) for number in (1, 2, 3)]
            await asyncio.sleep(0)
        assert await asyncio.gather(*asked) == [2, 4, 6]

    asyncio.run(main())


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20))), st.integers(1, 5))
def test_everyone_gets_the_answer_to_what_they_asked(items, most):
    async def main() -> None:
        network = Network()
        async with Batcher(network, most=most, wait=0) as batcher:
            answers = await asyncio.gather(*(batcher.ask(*item) for item in items), return_exceptions=True)
        for (_, number), answer in zip(items, answers, strict=True):
            assert answer == 2 * number if number != 13 else isinstance(answer, ValueError)
        assert all(len(batch) <= most for batch in network.batches)

    asyncio.run(main())
