"""Liftings of all callers -> few, large calls of the model.

Rules for whoever changes this: a call never waits to be filled; live liftings come first, the
others in turn, one pass each; what a lifting raises is its caller's alone, what a model call raises
is that of all who shared it; whatever is admitted ends in a result, an error or a cancellation.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

from model import Lifter, Lifting, Pass, merge_passes, split_answers
from service.errors import NotReady, Overloaded
from service.telemetry import Telemetry

Result = TypeVar("Result")

LIVE_IN_A_ROW = 8
"""After so many calls for live liftings one goes to those that wait behind them."""
RETRY_AFTER_S = 2


@dataclass(eq=False)
class _Caller:
    """A lifting under way; `wanted` is its next pass, None before the first. It ends in a result or
    an error, which `answer` is told in its event loop."""

    lifter: Lifter
    lifting: Lifting[Any]
    live: bool
    answer: asyncio.Future[Any]
    wanted: Pass | None = None
    left: bool = False
    result: Any = None
    error: BaseException | None = None
    since_s: float = field(default_factory=time.perf_counter)

    def fail(self, error: BaseException) -> None:
        self.lifting.close()
        self.error = error

    def tell(self) -> None:
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)

    def goes_with(self, other: "_Caller") -> bool:
        """Whether one call of the model can carry out both passes."""
        return self.lifter is other.lifter and type(self.wanted) is type(other.wanted)


class _Worker:
    """A thread that works whenever it is woken; started when first woken."""

    def __init__(self, name: str, work: Callable[["_Worker"], None]):
        self._work = work
        self._woken: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def wake(self) -> None:
        if self._thread.ident is None:
            self._thread.start()
        self._woken.put(True)

    def end(self) -> None:
        """Returns once the thread has ended, and nothing wakes it any more."""
        self._woken.put(False)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._woken.get():
            self._work(self)


class Batcher:
    """Carries out liftings in a pool of threads, `tokens` of one model and kind at most in a call.

    `liftings` may be under way at once; whoever comes beyond that gets Overloaded, unless they are
    `welcome`: those who could not come again. All callers are of one event loop.
    """

    def __init__(self, *, workers: int, tokens: int, liftings: int, telemetry: Telemetry):
        self._tokens = tokens
        self._room = liftings
        self._telemetry = telemetry
        self._lock = threading.Lock()  # for all below
        self._inside = 0
        self._open = True
        self._new: deque[_Caller] = deque()  # live ones that have not begun
        self._live: deque[_Caller] = deque()
        self._others: deque[_Caller] = deque()
        self._live_in_a_row = 0
        # whoever comes wakes the one that worked last: that core's caches still know the model
        self._workers = [_Worker(f"batcher-{n}", self._work) for n in range(workers)]
        self._idle = list(self._workers)
        telemetry.watch_queue(self._waiting)

    async def submit(
        self, lifter: Lifter, lifting: Lifting[Result], *, live: bool, welcome: bool = False
    ) -> Result:
        """The answer of a lifting, whose passes `lifter` carries out. Raises what the lifting
        raises, Overloaded, and NotReady once closed. Cancelled, it asks for nothing more."""
        caller = _Caller(lifter, lifting, live, asyncio.get_running_loop().create_future())
        self._admit(caller, welcome)
        try:
            result: Result = await caller.answer
            return result
        finally:
            self._leave(caller)

    def close(self) -> None:
        """End what is under way with NotReady, and the threads; returns once they have ended."""
        with self._lock:
            self._open = False
            left = [caller for queue in self._queues() for caller in queue]
            for queue in self._queues():
                queue.clear()
        for caller in left:
            caller.fail(_stopping())
        _tell(left)
        for worker in self._workers:
            worker.end()

    def _admit(self, caller: _Caller, welcome: bool) -> None:
        with self._lock:
            if not self._open:
                raise _stopping()
            if self._inside >= self._room and not welcome:
                raise Overloaded(
                    f"{self._inside} liftings are under way, as many as may be; "
                    f"try again in {RETRY_AFTER_S} s",
                    RETRY_AFTER_S,
                )
            (self._new if caller.live else self._others).append(caller)
            self._inside += 1
            self._wake()

    def _leave(self, caller: _Caller) -> None:
        caller.left = True
        caller.answer.cancel()
        early = caller.answer.cancelled()
        with self._lock:
            self._inside -= 1
            waits = [queue for queue in self._queues() if early and caller in queue]
            for queue in waits:
                queue.remove(caller)
        if waits:
            caller.lifting.close()
        if not early:
            self._telemetry.lifting_ended(time.perf_counter() - caller.since_s, caller.live)

    def _queues(self) -> tuple[deque[_Caller], ...]:
        return self._new, self._live, self._others

    def _waiting(self) -> int:
        return sum(map(len, self._queues()))

    def _wake(self) -> None:
        """One more thread goes to work, unless all are at it: they go on until nobody waits."""
        if self._idle:
            self._idle.pop().wake()

    def _work(self, worker: _Worker) -> None:
        """Calls of the model, each from collecting to answering, until nobody waits. Who is
        answered is told when the thread is already idle, or has its next callers: one who asks
        again at once finds it as it is."""
        ended: list[_Caller] = []
        while callers := self._collect(worker):
            _tell(ended)
            start_s = time.thread_time()
            ended = self._carry_on(callers)
            self._telemetry.lifting_took(time.thread_time() - start_s)
        _tell(ended)

    def _carry_on(self, callers: Sequence[_Caller]) -> list[_Caller]:
        """One call of the model; those whom it ended."""
        try:
            return [one for one, answer in self._call(callers) if self._advance(one, answer)]
        except BaseException as error:
            for caller in callers:
                caller.fail(error)
            return list(callers)

    def _collect(self, worker: _Worker) -> list[_Caller]:
        """The next caller, and with it those whose passes fit into the same call; without any, the
        thread is idle."""
        with self._lock:
            queue = self._next_queue()
            if not queue:
                self._idle.append(worker)
                return []
            first = queue.popleft()
            return [first, *self._joining(first)]

    def _next_queue(self) -> deque[_Caller]:
        if self._new:
            return self._new
        if self._live and not (self._others and self._live_in_a_row >= LIVE_IN_A_ROW):
            self._live_in_a_row += 1
            return self._live
        self._live_in_a_row = 0
        return self._others

    def _joining(self, first: _Caller) -> Iterator[_Caller]:
        if first.wanted is None:
            return
        room = self._tokens - first.wanted.tokens
        for queue in (self._live, self._others):
            for caller in [one for one in queue if one.goes_with(first)]:
                assert caller.wanted is not None
                if caller.wanted.tokens <= room:
                    room -= caller.wanted.tokens
                    queue.remove(caller)
                    yield caller

    def _call(self, callers: Iterable[_Caller]) -> list[tuple[_Caller, Any]]:
        """What each caller who still waits is sent."""
        here = [caller for caller in callers if not self._gone(caller)]
        passes = [caller.wanted for caller in here if caller.wanted is not None]
        if not passes:
            return [(caller, None) for caller in here]
        merged = merge_passes(passes)
        self._telemetry.model_called(merged, len(passes))
        found = here[0].lifter.run_pass(merged)
        return list(zip(here, split_answers(found, passes), strict=True))

    def _advance(self, caller: _Caller, answer: Any) -> bool:
        """Send a lifting what its pass gave, and say whether it ended; else it waits for its next
        turn."""
        if self._gone(caller):
            return False
        try:
            caller.wanted = caller.lifting.send(answer)
        except StopIteration as done:
            caller.result = done.value
        except BaseException as error:
            caller.fail(error)
        else:
            return not self._go_on(caller)
        return True

    def _go_on(self, caller: _Caller) -> bool:
        with self._lock:
            if self._open:
                if self._waiting():  # else this thread goes on with it
                    self._wake()
                (self._live if caller.live else self._others).append(caller)
                return True
        caller.fail(_stopping())
        return False

    def _gone(self, caller: _Caller) -> bool:
        if caller.left:
            caller.lifting.close()
        return caller.left


def _tell(callers: Sequence[_Caller]) -> None:
    """Wake their event loop, once for all of them, unless it is closed."""
    if callers:
        with suppress(RuntimeError):
            callers[0].answer.get_loop().call_soon_threadsafe(_tell_each, callers)


def _tell_each(callers: Iterable[_Caller]) -> None:
    for caller in callers:
        caller.tell()


def _stopping() -> NotReady:
    return NotReady("the service is stopping; the work was not finished")
