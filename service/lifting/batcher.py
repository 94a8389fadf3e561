"""Merges the lift tasks of all clients into few, large model calls.

Rules for maintainers: a model call never waits to be filled; live tasks come first, the others take
turns, one pass each; an error of a task goes to its submitter alone, an error of a model call to
all tasks that shared it; every admitted task ends in a result, an error or a cancellation.
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
from service.admission.capacity import Capacity
from service.errors import NotReady
from service.telemetry import Telemetry

Result = TypeVar("Result")

LIVE_IN_A_ROW = 8
"""After this many model calls for live tasks in a row, one goes to the others if any wait."""
RETRY_AFTER_S = 2


@dataclass(eq=False)
class _LiftTask:
    """A lifting in progress. `next_pass` is None before the first pass. It ends with `result` or
    `error`, which `deliver` passes to `future` in its event loop."""

    lifter: Lifter
    lifting: Lifting[Any]
    live: bool
    future: asyncio.Future[Any]
    next_pass: Pass | None = None
    abandoned: bool = False
    result: Any = None
    error: BaseException | None = None
    since_s: float = field(default_factory=time.perf_counter)

    def fail(self, error: BaseException) -> None:
        self.lifting.close()
        self.error = error

    def deliver(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)

    def can_share_call(self, other: "_LiftTask") -> bool:
        return self.lifter is other.lifter and type(self.next_pass) is type(other.next_pass)


class _Worker:
    """A thread that runs `work` each time it is woken, started by the first `wake`."""

    def __init__(self, name: str, work: Callable[["_Worker"], None]):
        self._work = work
        self._woken: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def wake(self) -> None:
        if self._thread.ident is None:
            self._thread.start()
        self._woken.put(True)

    def end(self) -> None:
        """Wait for the thread to end. Nothing may wake it any more."""
        self._woken.put(False)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._woken.get():
            self._work(self)


class Batcher:
    """Runs lift tasks in a pool of threads. A model call takes passes of one model and kind, with
    at most `tokens` tokens together. All tasks are submitted from one event loop.
    """

    def __init__(self, *, workers: int, tokens: int, max_tasks: int, telemetry: Telemetry):
        self._tokens = tokens
        self._capacity = Capacity("lift tasks", limit=max_tasks, retry_after_s=RETRY_AFTER_S)
        self._telemetry = telemetry
        self._lock = threading.Lock()  # guards everything below
        self._open = True
        self._new: deque[_LiftTask] = deque()  # live tasks before their first pass
        self._live: deque[_LiftTask] = deque()
        self._others: deque[_LiftTask] = deque()
        self._live_in_a_row = 0
        # a stack: the thread that worked last is woken first, its core has the model in its cache
        self._workers = [_Worker(f"batcher-{n}", self._work) for n in range(workers)]
        self._idle = list(self._workers)
        telemetry.watch_queue(self._waiting)

    async def submit(
        self, lifter: Lifter, lifting: Lifting[Result], *, live: bool, bypass_limit: bool = False
    ) -> Result:
        """The result of `lifting`, whose passes `lifter` runs. `bypass_limit` is for clients that
        cannot retry. Raises Overloaded at the limit, NotReady once closed, and what the lifting
        raises. A cancelled task runs no further pass."""
        with self._capacity.enter(bypass_limit=bypass_limit):
            task = _LiftTask(lifter, lifting, live, asyncio.get_running_loop().create_future())
            self._enqueue(task)
            try:
                result: Result = await task.future
                return result
            finally:
                self._release(task)

    def close(self) -> None:
        """End all tasks with NotReady and wait for the threads to end."""
        with self._lock:
            self._open = False
            unfinished = [task for queue in self._queues() for task in queue]
            for queue in self._queues():
                queue.clear()
        for task in unfinished:
            task.fail(_stopping())
        _deliver(unfinished)
        for worker in self._workers:
            worker.end()

    def _enqueue(self, task: _LiftTask) -> None:
        with self._lock:
            if not self._open:
                raise _stopping()
            (self._new if task.live else self._others).append(task)
            self._wake()

    def _release(self, task: _LiftTask) -> None:
        task.abandoned = True
        task.future.cancel()
        cancelled = task.future.cancelled()
        with self._lock:
            holding = [queue for queue in self._queues() if cancelled and task in queue]
            for queue in holding:
                queue.remove(task)
        if holding:
            task.lifting.close()
        if not cancelled:
            self._telemetry.lifting_ended(time.perf_counter() - task.since_s, task.live)

    def _queues(self) -> tuple[deque[_LiftTask], ...]:
        return self._new, self._live, self._others

    def _waiting(self) -> int:
        return sum(map(len, self._queues()))

    def _wake(self) -> None:
        """Wake an idle thread, if there is one; busy threads work until the queues are empty."""
        if self._idle:
            self._idle.pop().wake()

    def _work(self, worker: _Worker) -> None:
        """Make model calls until the queues are empty. Results are delivered only once this thread
        has its next tasks or is idle: an immediate new task of the client then sees its true state.
        """
        ended: list[_LiftTask] = []
        while tasks := self._collect(worker):
            _deliver(ended)
            start_s = time.thread_time()
            ended = self._run_call(tasks)
            self._telemetry.lifting_took(time.thread_time() - start_s)
        _deliver(ended)

    def _run_call(self, tasks: Sequence[_LiftTask]) -> list[_LiftTask]:
        """Make one model call; returns the tasks that ended with it."""
        try:
            return [task for task, output in self._call(tasks) if self._advance(task, output)]
        except BaseException as error:
            for task in tasks:
                task.fail(error)
            return list(tasks)

    def _collect(self, worker: _Worker) -> list[_LiftTask]:
        """The next task and those that fit into the same model call; marks the thread idle if there
        are none."""
        with self._lock:
            queue = self._next_queue()
            if not queue:
                self._idle.append(worker)
                return []
            first = queue.popleft()
            return [first, *self._joining(first)]

    def _next_queue(self) -> deque[_LiftTask]:
        if self._new:
            return self._new
        if self._live and not (self._others and self._live_in_a_row >= LIVE_IN_A_ROW):
            self._live_in_a_row += 1
            return self._live
        self._live_in_a_row = 0
        return self._others

    def _joining(self, first: _LiftTask) -> Iterator[_LiftTask]:
        if first.next_pass is None:
            return
        tokens_left = self._tokens - first.next_pass.tokens
        for queue in (self._live, self._others):
            for task in [task for task in queue if task.can_share_call(first)]:
                assert task.next_pass is not None
                if task.next_pass.tokens <= tokens_left:
                    tokens_left -= task.next_pass.tokens
                    queue.remove(task)
                    yield task

    def _call(self, tasks: Iterable[_LiftTask]) -> list[tuple[_LiftTask, Any]]:
        """Each task that was not abandoned, with the output of its pass."""
        active = [task for task in tasks if not self._drop_abandoned(task)]
        passes = [task.next_pass for task in active if task.next_pass is not None]
        if not passes:
            return [(task, None) for task in active]
        merged = merge_passes(passes)
        self._telemetry.model_called(merged, len(passes))
        output = active[0].lifter.run_pass(merged)
        return list(zip(active, split_answers(output, passes), strict=True))

    def _advance(self, task: _LiftTask, output: Any) -> bool:
        """Send the output of its pass to the lifting; True if the task ended, else it is queued
        again."""
        if self._drop_abandoned(task):
            return False
        try:
            task.next_pass = task.lifting.send(output)
        except StopIteration as done:
            task.result = done.value
        except BaseException as error:
            task.fail(error)
        else:
            return not self._requeue(task)
        return True

    def _requeue(self, task: _LiftTask) -> bool:
        with self._lock:
            if self._open:
                if self._waiting():  # else this thread continues with it
                    self._wake()
                (self._live if task.live else self._others).append(task)
                return True
        task.fail(_stopping())
        return False

    def _drop_abandoned(self, task: _LiftTask) -> bool:
        if task.abandoned:
            task.lifting.close()
        return task.abandoned


def _deliver(tasks: Sequence[_LiftTask]) -> None:
    """Wake the event loop once for all tasks, unless it is closed."""
    if tasks:
        with suppress(RuntimeError):
            tasks[0].future.get_loop().call_soon_threadsafe(_deliver_each, tasks)


def _deliver_each(tasks: Iterable[_LiftTask]) -> None:
    for task in tasks:
        task.deliver()


def _stopping() -> NotReady:
    return NotReady("the service is stopping; the work was not finished")
