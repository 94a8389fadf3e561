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
        # frames as they came, the first `_filled` rows; never written twice, so that windows, which
        # are views of them, stay as they are
        self._rows: NDArray[Any] | None = None
        self._filled = 0

    def push(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Take the next frames (n, ...); give the windows (n, f, ...) that end at each."""
        before, count = self._window.length - 1, len(frames)
        rows = self._rows
        if rows is None:
            self._move(np.repeat(frames[:1], before, axis=0), count)
        elif self._filled + count > len(rows):
            self._move(rows[self._filled - before : self._filled], count)
        assert self._rows is not None
        first, self._filled = self._filled - before, self._filled + count
        self._rows[first + before : self._filled] = frames
        return _sliding(self._rows[first : self._filled], count, before + 1)

    def flush(self) -> NDArray[Any]:
        """The windows (future, f, ...) that end after the last frame, which is repeated; then the
        stream is as new. Something was pushed before."""
        if self._rows is None:
            raise InvalidInput("a stream without frames has no windows")
        last = self._rows[self._filled - 1 : self._filled]
        owed = self.push(np.repeat(last, self._window.future, axis=0))
        self._rows = None
        return owed

    def _move(self, kept: NDArray[Any], count: int) -> None:
        """To new memory, with room for so many frames and for half a window to come."""
        room = len(kept) + count + self._window.length // 2
        self._rows = np.empty((room, *kept.shape[1:]), kept.dtype)
        self._rows[: len(kept)] = kept
        self._filled = len(kept)


def _sliding(rows: NDArray[Any], count: int, length: int) -> NDArray[Any]:
    """The `count` runs of `length` rows, as a view: what sliding_window_view gives in ten times the
    time."""
    strides = (rows.strides[0], *rows.strides)
    return np.ndarray((count, length, *rows.shape[1:]), rows.dtype, rows, 0, strides)
