"""Sliding windows: of a whole sequence at once, or as its frames arrive.

Invariants: window i holds the frames i - past .. i + future; the first and the last frame are
repeated beyond the ends; every frame gets exactly one window, in order; `stream` returns the same
windows as `over`, for any length and chunking.
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
            raise InvalidInput(f"past and future must be >= 0, got {self.past}, {self.future}")

    @property
    def length(self) -> int:
        """f, the receptive field in frames."""
        return self.past + 1 + self.future

    def over(self, frames: NDArray[Any], centres: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """The windows around `centres` (n,), by default all frames: (T, ...) -> (n, f, ...)."""
        centres = np.arange(len(frames)) if centres is None else centres
        around = centres[:, None] + np.arange(-self.past, self.future + 1)
        return frames[np.clip(around, 0, len(frames) - 1)]

    def stream(self) -> "WindowStream":
        return WindowStream(self)


class WindowStream:
    """The windows of one person's frames, which arrive a few at a time.

    A window is returned with the frame that it ends at. So the first `future` windows are centred
    before the first frame; provisional poses use them. The others equal those of `Window.over`.
    """

    def __init__(self, window: Window):
        self._window = window
        self._before = window.length - 1
        # the newest frames in the first `_filled` rows; no row is written twice, because windows
        # are views of them
        self._rows: NDArray[Any] | None = None
        self._filled = 0

    def push(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Take the next frames (n, ...); returns the windows (n, f, ...) that end at them."""
        count = len(frames)
        rows = self._rows_for(frames, count)
        first, self._filled = self._filled, self._filled + count
        rows[first : self._filled] = frames
        # as sliding_window_view, in a tenth of the time
        shape, step = (count, self._window.length, *rows.shape[1:]), rows.strides[0]
        at = (first - self._before) * step
        return np.ndarray(shape, rows.dtype, rows, at, (step, *rows.strides))

    def flush(self) -> NDArray[Any]:
        """The windows (future, f, ...) that end after the last frame, which is repeated; then the
        stream starts anew. Raises InvalidInput if no frame was pushed."""
        if self._rows is None:
            raise InvalidInput("a stream without frames has no windows")
        last = self._rows[self._filled - 1 : self._filled]
        windows = self.push(np.repeat(last, self._window.future, axis=0))
        self._rows = None
        return windows

    def _rows_for(self, frames: NDArray[Any], count: int) -> NDArray[Any]:
        """The rows, with space for `count` more; a new array has space for half a window beyond."""
        rows = self._rows
        if rows is not None and self._filled + count <= len(rows):
            return rows
        kept = (
            np.repeat(frames[:1], self._before, axis=0)
            if rows is None
            else rows[self._filled - self._before : self._filled]
        )
        size = self._before + count + self._window.length // 2
        self._rows = rows = np.empty((size, *frames.shape[1:]), frames.dtype)
        rows[: self._before] = kept
        self._filled = self._before
        return rows
