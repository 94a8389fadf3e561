"""The frames around a frame: for a whole sequence at once, or one frame at a time.

Rules for whoever changes this: window i is the frames i - past .. i + future; a frame before the
first is the first, one after the last is the last; every frame gets exactly one window, in order;
`stream` gives the same windows as `over`, whatever the sequence's length.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput


@dataclass(frozen=True)
class Window:
    """`past` frames before a frame and `future` after it; `future` is the latency in frames."""

    past: int
    future: int

    def __post_init__(self) -> None:
        if self.past < 0 or self.future < 0:
            raise InvalidInput(f"a window's sides are 0 or more, got {self.past}, {self.future}")

    @property
    def length(self) -> int:
        """The receptive field f, in frames."""
        return self.past + 1 + self.future

    def over(self, frames: NDArray[Any], centres: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """The windows around `centres` (n,), or every frame: frames (T, ...) -> (n, f, ...)."""
        centres = np.arange(len(frames)) if centres is None else centres
        around = centres[:, None] + np.arange(-self.past, self.future + 1)
        return frames[np.clip(around, 0, len(frames) - 1)]

    def stream(self) -> "WindowStream":
        return WindowStream(self)


class WindowStream:
    """The windows of a sequence whose frames arrive one at a time. One per person per stream."""

    def __init__(self, window: Window):
        self._window = window
        self._held: deque[NDArray[Any]] = deque(maxlen=window.length)
        self._pushed = 0
        self._given = 0

    def push(self, frame: NDArray[Any]) -> list[NDArray[Any]]:
        """Take the next frame (...); give the windows (f, ...) that it completes: none or one."""
        if not self._pushed:
            self._held.extend([frame] * self._window.past)
        self._pushed += 1
        return self._take(frame)

    def flush(self) -> list[NDArray[Any]]:
        """The windows still owed, the last frame repeated; then the stream is as new."""
        owed: list[NDArray[Any]] = []
        while self._given < self._pushed:
            owed += self._take(self._held[-1])
        self.__init__(self._window)  # type: ignore[misc]
        return owed

    def _take(self, frame: NDArray[Any]) -> list[NDArray[Any]]:
        self._held.append(frame)
        if len(self._held) < self._window.length:
            return []
        self._given += 1
        return [np.stack(self._held)]
