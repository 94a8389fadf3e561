"""The batcher: batched equals alone, live tasks first, fair turns, every task ends."""

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
    """A real lifter that records its model calls and blocks each until it is allowed."""

    def __init__(self) -> None:
        self.calls: list[Pass] = []
        self._called = threading.Semaphore(0)
        self._allowed = threading.Semaphore(0)

    def run_pass(self, pass_: Pass) -> Any:
        self.calls.append(pass_)
        self._called.release()
        assert self._allowed.acquire(timeout=20)
        return MODEL.run_pass(pass_)

    async def called(self) -> None:
        """Wait until the next model call has begun and blocks."""
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
    """A lifting with `count` passes of one frame each."""
    inputs = np.zeros((1, 17, 6), np.float32)
    for _ in range(count):
        yield Encode(inputs)
    return count


def full(calls: int) -> Lifting[None]:
    """A lifting with `calls` passes that each fill a model call."""
    for _ in range(calls):
        yield Encode(np.zeros((TOKENS, 17, 6), np.float32))


async def started(*coroutines: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Tasks that have run up to their first wait."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await asyncio.sleep(0)
    return tasks


lift_tasks = st.tuples(
    st.sampled_from([3, 9]),
    st.integers(1, 60),
    st.booleans(),
    st.sampled_from([LiftOptions(), LiftOptions(flip=True), LiftOptions(readout="dense")]),
    st.booleans(),
)


@settings(max_examples=6)
@given(
    st.lists(lift_tasks, min_size=1, max_size=16), st.sampled_from([1, 2, 4]), st.integers(1, 400)
)
def test_batched_results_equal_single_ones_when_others_cancel(
    cases: list[tuple[int, int, bool, LiftOptions, bool]], workers: int, tokens: int
) -> None:
    async def together() -> list[Any]:
        async with batching(workers, tokens) as batcher:
            tasks = await started(
                *(
                    batcher.submit(
                        lifter(f), lifter(f).lifting(person(count, count), options), live=live
                    )
                    for f, count, live, options, _ in cases
                )
            )
            for task, (*_, cancels) in zip(tasks, cases, strict=True):
                if cancels:
                    task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    for result, (f, count, _, options, cancels) in zip(asyncio.run(together()), cases, strict=True):
        if cancels:
            assert isinstance(result, asyncio.CancelledError)
        else:
            expected = lifter(f).lift(person(count, count), options).xyz
            np.testing.assert_allclose(result.xyz, expected, atol=1e-5)


@in_a_loop
async def test_waiting_tasks_share_a_call_up_to_its_tokens() -> None:
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
async def test_live_task_runs_before_a_long_one() -> None:
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
async def test_long_tasks_take_turns() -> None:
    """A short task behind a long one ends after twice its number of calls."""
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
async def test_endless_live_tasks_leave_turns_to_others() -> None:
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


def recording(lifting: Lifting[Any], notes: list[str]) -> Lifting[Any]:
    try:
        yield from lifting
    except GeneratorExit:
        notes.append("closed")
        raise


@in_a_loop
async def test_cancelled_task_runs_no_further_pass() -> None:
    gated, notes = Gated(), []
    async with batching() as batcher:
        (runs,) = await started(batcher.submit(gated, recording(full(9), notes), live=True))
        await gated.called()
        (waits,) = await started(batcher.submit(gated, recording(full(9), notes), live=True))
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
async def test_error_of_a_lifting_reaches_only_its_submitter() -> None:
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
async def test_error_of_a_model_call_reaches_all_tasks_that_shared_it() -> None:
    class Broken(Gated):
        def run_pass(self, pass_: Pass) -> Any:
            super().run_pass(pass_)
            if pass_.tokens == 5:
                raise RuntimeError("the device is gone")
            return MODEL.run_pass(pass_)

    broken = Broken()
    async with batching() as batcher:
        (first,) = await started(batcher.submit(broken, full(1), live=True))
        await broken.called()
        tasks = await started(*(batcher.submit(broken, frames(2), live=True) for _ in range(5)))
        broken.allow()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in errors] == [RuntimeError] * 5
        await first
        assert await batcher.submit(broken, frames(2), live=True) == 2


@in_a_loop
async def test_tasks_beyond_the_limit_are_rejected_unless_they_bypass_it() -> None:
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
async def test_close_ends_every_task() -> None:
    gated = Gated()
    async with batching() as batcher:
        tasks = await started(*(batcher.submit(gated, full(9), live=True) for _ in range(3)))
        await gated.called()
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        gated.allow()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        await closing
        with pytest.raises(NotReady):
            await batcher.submit(gated, frames(1), live=True)
    assert [type(error) for error in errors] == [NotReady] * 3
    assert len(gated.calls) == 1
    assert not [t for t in threading.enumerate() if t.name.startswith("batcher")]


@in_a_loop
async def test_model_calls_are_counted() -> None:
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


class ThreadRecorder:
    """A real lifter that records its threads; each call waits for `together` parallel ones."""

    def __init__(self, together: int = 1) -> None:
        self.threads: list[str] = []
        self._barrier = threading.Barrier(together)

    def run_pass(self, pass_: Pass) -> Any:
        self.threads.append(threading.current_thread().name)
        self._barrier.wait(timeout=20)
        return MODEL.run_pass(pass_)


@in_a_loop
async def test_successive_tasks_run_in_one_thread() -> None:
    """The thread that worked last is woken first, and is idle before its result is delivered."""
    recorder = ThreadRecorder()
    async with batching(workers=4) as batcher:
        for _ in range(10):
            assert await batcher.submit(recorder, frames(3), live=True) == 3
    assert len(recorder.threads) == 30 and len(set(recorder.threads)) == 1


@in_a_loop
async def test_simultaneous_tasks_run_in_all_threads() -> None:
    """Each pass waits for two parallel ones: with fewer threads none would end."""
    recorder = ThreadRecorder(together=3)
    async with batching(workers=3) as batcher:
        await asyncio.gather(*(batcher.submit(recorder, full(4), live=False) for _ in range(3)))
    assert len(set(recorder.threads)) == 3
