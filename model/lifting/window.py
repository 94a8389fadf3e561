"""The frames around a frame: for a whole sequence at once, or as the frames arrive.

Rules for whoever changes this: window i is the frames i - past .. i + future; a frame before the
first is the first, one after the last is the last; every frame gets exactly one window, in order;
`stream` gives the same windows as `over`, whatever the sequence's length and however it is cut.
"""

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
    """The windows of a sequence whose frames arrive a few at a time. One per person per stream.

    A window is given with the frame that it ends at, so the first `future` of all end too early to
    be any frame's own: they hold all that is known of the first frames, which is what a live
    answer needs. The others are those of `Window.over`.
    """

    def __init__(self, window: Window):
        self._window = window
        self._before = window.length - 1
        # frames as they came, the first `_filled` rows; never written twice, so that windows, which
        # are views of them, stay as they are
        self._rows: NDArray[Any] | None = None
        self._filled = 0

    def push(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Take the next frames (n, ...); give the windows (n, f, ...) that end at each."""
        count = len(frames)
        rows = self._room_for(frames, count)
        first, self._filled = self._filled, self._filled + count
        rows[first : self._filled] = frames
        # the `count` runs of rows: what sliding_window_view gives in ten times the time
        shape, step = (count, self._window.length, *rows.shape[1:]), rows.strides[0]
        at = (first - self._before) * step
        return np.ndarray(shape, rows.dtype, rows, at, (step, *rows.strides))

    def flush(self) -> NDArray[Any]:
        """The windows (future, f, ...) that end after the last frame, which is repeated; then the
        stream is as new. Something was pushed before."""
        if self._rows is None:
            raise InvalidInput("a stream without frames has no windows")
        last = self._rows[self._filled - 1 : self._filled]
        owed = self.push(np.repeat(last, self._window.future, axis=0))
        self._rows = None
        return owed

    def _room_for(self, frames: NDArray[Any], count: int) -> NDArray[Any]:
        """The rows, with room for so many more; new ones have some for half a window to come."""
        rows = self._rows
        if rows is not None and self._filled + count <= len(rows):
            return rows
        kept = (
            np.repeat(frames[:1], self._before, axis=0)
            if rows is None
            else rows[self._filled - self._before : self._filled]
        )
        room = self._before + count + self._window.length // 2
        self._rows = rows = np.empty((room, *frames.shape[1:]), frames.dtype)
        rows[: self._before] = kept
        self._filled = self._before
        return rows
