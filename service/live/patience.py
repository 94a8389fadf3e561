"""A time limit for what is waited for again and again."""

import asyncio
from types import TracebackType


class Patience:
    """What asyncio.timeout does, for waits that follow one another: `with` around each raises
    TimeoutError once it has taken `limit_s`.

    One timer serves them all, and is set anew only where it rings too early: a timer for each of a
    stream's messages costs as much as reading it. One event loop's; `close` in the end.
    """

    def __init__(self, limit_s: float):
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Task[object] | None = None
        self._cancelled_before = 0
        self._until_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None and self._waiting is None
        self._waiting, self._cancelled_before = task, task.cancelling()
        self._until_s = self._loop.time() + self._limit_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._until_s, self._ring)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._waiting = self._waiting, None
        if not self._is_over:
            return
        self._is_over = False
        assert task is not None
        # whoever else has cancelled the task means it to end
        if task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _ring(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._until_s:
            self._timer = self._loop.call_at(self._until_s, self._ring)
            return
        self._is_over = True
        self._waiting.cancel()
