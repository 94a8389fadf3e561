"""Batched equals alone; live before long, in turn, and everybody gets an answer or an error."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import Encode, InvalidInput, Lifting, LiftOptions, Pass
from networks import lifter
from servers import in_a_loop
from service.errors import NotReady, Overloaded
from service.lifting.batcher import LIVE_IN_A_ROW, Batcher
from service.telemetry import Telemetry
from synthetic import person

TOKENS = 54
MODEL = lifter(9)


class Gated:
    """A real lifter that notes its calls, and carries each out when told."""

    def __init__(self) -> None:
        self.calls: list[Pass] = []
        self._called = threading.Semaphore(0)
        self._allowed = threading.Semaphore(0)

    def run_pass(self, wanted: Pass) -> Any:
        self.calls.append(wanted)
        self._called.release()
        assert self._allowed.acquire(timeout=20)
        return MODEL.run_pass(wanted)

    async def called(self) -> None:
        """Until the next call has begun; from then on it waits."""
        assert await asyncio.to_thread(self._called.acquire, timeout=20)

    def allow(self, calls: int = 10_000) -> None:
        self._allowed.release(calls)


@asynccontextmanager
async def batching(
    workers: int = 1, tokens: int = TOKENS, max_tasks: int = 1000
) -> AsyncIterator[Batcher]:
    batcher = Batcher(workers=workers, tokens=tokens, max_tasks=max_tasks, telemetry=Telemetry())
    try:
        yield batcher
    finally:
        await asyncio.to_thread(batcher.close)


def frames(count: int) -> Lifting[int]:
    """A lifting of one pass for each of so many frames, and nothing else."""
    inputs = np.zeros((1, 17, 6), np.float32)
    for _ in range(count):
        yield Encode(inputs)
    return count


def full(calls: int) -> Lifting[None]:
    """A lifting whose every pass fills a call."""
    for _ in range(calls):
        yield Encode(np.zeros((TOKENS, 17, 6), np.float32))


async def started(*coroutines: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Tasks that have run up to where they wait."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    await asyncio.sleep(0)
    return tasks


callers = st.tuples(
    st.sampled_from([3, 9]),
    st.integers(1, 60),
    st.booleans(),
    st.sampled_from([LiftOptions(), LiftOptions(flip=True), LiftOptions(readout="dense")]),
    st.booleans(),
)


@settings(max_examples=6)
@given(st.lists(callers, min_size=1, max_size=16), st.sampled_from([1, 2, 4]), st.integers(1, 400))
def test_batched_is_alone_and_who_leaves_disturbs_nobody(
    asked: list[tuple[int, int, bool, LiftOptions, bool]], workers: int, tokens: int
) -> None:
    async def together() -> list[Any]:
        async with batching(workers, tokens) as batcher:
            tasks = await started(
                *(
                    batcher.submit(
                        lifter(f), lifter(f).lifting(person(count, count), options), live=live
                    )
                    for f, count, live, options, _ in asked
                )
            )
            for task, (*_, leaves) in zip(tasks, asked, strict=True):
                if leaves:
                    task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    for found, (f, count, _, options, leaves) in zip(asyncio.run(together()), asked, strict=True):
        if leaves:
            assert isinstance(found, asyncio.CancelledError)
        else:
            expected = lifter(f).lift(person(count, count), options).xyz
            np.testing.assert_allclose(found.xyz, expected, atol=1e-5)


@in_a_loop
async def test_those_who_wait_share_a_call_up_to_its_tokens() -> None:
    gated = Gated()
    async with batching() as batcher:
        submits = (batcher.submit(gated, frames(1), live=True) for _ in range(1 + TOKENS + 6))
        tasks = await started(*submits)
        await gated.called()
        gated.allow()
        await asyncio.gather(*tasks)
    tokens = [call.tokens for call in gated.calls]
    assert sum(tokens) == 1 + TOKENS + 6
    assert len(tokens) == 2 or tokens[1] == TOKENS


@in_a_loop
async def test_live_goes_before_long() -> None:
    gated = Gated()
    async with batching() as batcher:
        (long,) = await started(batcher.submit(gated, full(5), live=False))
        await gated.called()
        (live,) = await started(batcher.submit(gated, frames(2), live=True))
        gated.allow(3)
        assert await live == 2
        assert [call.tokens for call in gated.calls[1:3]] == [1, 1]
        assert not long.done()
        gated.allow()
        await long


@in_a_loop
async def test_long_ones_take_turns() -> None:
    """A short upload behind a long one is done after as many calls as it has, twice."""
    gated = Gated()
    async with batching() as batcher:
        (long,) = await started(batcher.submit(gated, full(50), live=False))
        await gated.called()
        (short,) = await started(batcher.submit(gated, full(3), live=False))
        gated.allow(1 + 2 * 3)
        await short
        assert not long.done()
        gated.allow()
        await long


@in_a_loop
async def test_live_ones_without_end_leave_a_turn_now_and_then() -> None:
    gated = Gated()
    async with batching() as batcher:
        (first,) = await started(batcher.submit(gated, full(1), live=True))
        await gated.called()
        (long,) = await started(batcher.submit(gated, frames(1), live=False))
        (live,) = await started(batcher.submit(gated, full(1000), live=True))
        gated.allow(1 + 3 * LIVE_IN_A_ROW)
        assert await long == 1
        assert not live.done()
        live.cancel()
        gated.allow()
        await first


def noted(lifting: Lifting[Any], notes: list[str]) -> Lifting[Any]:
    try:
        yield from lifting
    except GeneratorExit:
        notes.append("closed")
        raise


@in_a_loop
async def test_for_a_caller_who_left_nothing_more_is_run() -> None:
    gated, notes = Gated(), []
    async with batching() as batcher:
        (runs,) = await started(batcher.submit(gated, noted(full(9), notes), live=True))
        await gated.called()
        (waits,) = await started(batcher.submit(gated, noted(full(9), notes), live=True))
        for task in (runs, waits):
            task.cancel()
        await asyncio.wait([runs, waits])
        (last,) = await started(batcher.submit(gated, frames(1), live=False))
        gated.allow()
        assert await last == 1
    assert [call.tokens for call in gated.calls] == [TOKENS, 1]
    assert notes == ["closed"]


def failing(error: Exception) -> Lifting[None]:
    yield from frames(1)
    raise error


@in_a_loop
async def test_what_a_lifting_raises_is_its_callers_alone() -> None:
    gated = Gated()
    async with batching() as batcher:
        (first,) = await started(batcher.submit(gated, full(1), live=True))
        await gated.called()
        submits = [batcher.submit(gated, failing(InvalidInput("bad")), live=True)]
        submits += [batcher.submit(gated, frames(3), live=True) for _ in range(3)]
        tasks = await started(*submits)
        gated.allow()
        bad, *good = await asyncio.gather(*tasks, return_exceptions=True)
        await first
    assert gated.calls[1].tokens == 4
    assert isinstance(bad, InvalidInput)
    assert good == [3, 3, 3]


@in_a_loop
async def test_what_a_call_raises_is_that_of_all_who_shared_it() -> None:
    class Broken(Gated):
        def run_pass(self, wanted: Pass) -> Any:
            super().run_pass(wanted)
            if wanted.tokens == 5:
                raise RuntimeError("the device is gone")
            return MODEL.run_pass(wanted)

    broken = Broken()
    async with batching() as batcher:
        (first,) = await started(batcher.submit(broken, full(1), live=True))
        await broken.called()
        tasks = await started(*(batcher.submit(broken, frames(2), live=True) for _ in range(5)))
        broken.allow()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [RuntimeError] * 5
        await first
        assert await batcher.submit(broken, frames(2), live=True) == 2


@in_a_loop
async def test_more_than_the_bound_are_sent_away_for_now() -> None:
    gated = Gated()
    async with batching(max_tasks=2) as batcher:
        tasks = await started(*(batcher.submit(gated, frames(1), live=False) for _ in range(2)))
        with pytest.raises(Overloaded, match="2 lift tasks") as caught:
            await batcher.submit(gated, frames(1), live=True)
        assert caught.value.retry_after_s > 0
        tasks += await started(batcher.submit(gated, frames(1), live=True, bypass_limit=True))
        tasks[1].cancel()
        await asyncio.wait(tasks[1:2])
        gated.allow()
        assert await tasks[2] == 1
        assert await batcher.submit(gated, frames(1), live=False) == 1
        assert await tasks[0] == 1


@in_a_loop
async def test_at_the_end_nobody_is_left_waiting() -> None:
    gated = Gated()
    async with batching() as batcher:
        tasks = await started(*(batcher.submit(gated, full(9), live=True) for _ in range(3)))
        await gated.called()
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        gated.allow()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await closing
        with pytest.raises(NotReady):
            await batcher.submit(gated, frames(1), live=True)
    assert [type(one) for one in found] == [NotReady] * 3
    assert len(gated.calls) == 1
    assert not [one for one in threading.enumerate() if one.name.startswith("batcher")]


@in_a_loop
async def test_calls_are_counted() -> None:
    telemetry = Telemetry()
    batcher = Batcher(workers=1, tokens=TOKENS, max_tasks=9, telemetry=telemetry)
    await batcher.submit(MODEL, MODEL.lifting(person(5)), live=True)
    batcher.close()
    text = telemetry.text().decode()
    for line in (
        'poselift_call_tokens_sum{half="spatial"} 5.0',
        'poselift_call_tokens_sum{half="temporal"} 45.0',
        'poselift_call_liftings_count{half="temporal"} 1.0',
        'poselift_lifting_seconds_count{live="true"} 1.0',
        "poselift_liftings_waiting 0.0",
    ):
        assert line in text
    (spent,) = re.findall(r"^poselift_lifting_cpu_seconds_total (\S+)$", text, re.MULTILINE)
    assert 0 < float(spent) < time.process_time()


class Places:
    """A real lifter that notes which threads call it, and how many at once."""

    def __init__(self, together: int = 1) -> None:
        self.threads: list[str] = []
        self._meeting = threading.Barrier(together)

    def run_pass(self, wanted: Pass) -> Any:
        self.threads.append(threading.current_thread().name)
        self._meeting.wait(timeout=20)
        return MODEL.run_pass(wanted)


@in_a_loop
async def test_who_comes_alone_is_served_by_one_thread() -> None:
    """The one whose caches still know the model, however many there are: it is idle before its
    caller is answered."""
    places = Places()
    async with batching(workers=4) as batcher:
        for _ in range(10):
            assert await batcher.submit(places, frames(3), live=True) == 3
    assert len(places.threads) == 30 and len(set(places.threads)) == 1


@in_a_loop
async def test_who_comes_together_is_served_by_all_threads() -> None:
    """Each pass waits for two more at the same time: with fewer threads none would ever end."""
    places = Places(together=3)
    async with batching(workers=3) as batcher:
        await asyncio.gather(*(batcher.submit(places, full(4), live=False) for _ in range(3)))
    assert len(set(places.threads)) == 3
