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
        self._held: NDArray[Any] | None = None  # the f - 1 newest frames

    def push(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Take the next frames (n, ...); give the windows (n, f, ...) that end at each."""
        length = self._window.length
        if self._held is None:
            self._held = np.repeat(frames[:1], length - 1, axis=0)
        known = np.concatenate([self._held, frames])
        self._held = known[len(frames) :].copy()
        return known[np.arange(len(frames))[:, None] + np.arange(length)]

    def flush(self) -> NDArray[Any]:
        """The windows (future, f, ...) that end after the last frame, which is repeated; then the
        stream is as new. Something was pushed before."""
        if self._held is None:
            raise InvalidInput("a stream without frames has no windows")
        owed = self.push(np.repeat(self._held[-1:], self._window.future, axis=0))
        self._held = None
        return owed
