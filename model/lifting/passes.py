"""Lift tasks: lifting as a series of passes of the network, run by the caller.

A lift task (`Lifting`) is a generator: it yields the passes it needs, is sent the result of each,
and returns the poses. It does not run the network, so a task runs alone or batched with others.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from model.keypoints.sequences import Float32, Indices
from model.lifting.window import Window

TOKENS_A_PASS = 216
"""Frames, or windows x frames, per pass: 150 to 350 are fastest on a CPU."""


class Encode(NamedTuple):
    """The spatial half for frames (N, 17, C); its result is their features (N, D)."""

    inputs: Float32

    @property
    def tokens(self) -> int:
        return len(self.inputs)


class Decode(NamedTuple):
    """The temporal half for windows of features (B, f, D); its result is Readouts."""

    windows: Float32

    @property
    def tokens(self) -> int:
        return self.windows.shape[0] * self.windows.shape[1]


class Readouts(NamedTuple):
    """centre (B, 1, 17, 3) and dense (B, f, 17, 3) m, in the axes of each frame's input; dense is
    None for a model without it."""

    centre: Float32
    dense: Float32 | None


Pass = Encode | Decode
Result = TypeVar("Result")
Lifting = Generator[Pass, Any, Result]


def carry_out(lifting: Lifting[Result], run: Callable[[Pass], Any]) -> Result:
    """Run a lift task's passes one after another and return its result."""
    try:
        work = next(lifting)
        while True:
            work = lifting.send(run(work))
    except StopIteration as done:
        result: Result = done.value
        return result


def merge_passes(passes: Sequence[Pass]) -> Pass:
    """Merge passes of one kind for a single model call."""
    if len(passes) == 1:
        return passes[0]
    return type(passes[0])(np.concatenate([work[0] for work in passes]))


def split_answers(merged: Any, passes: Sequence[Pass]) -> list[Any]:
    """Split the result of merged passes into the result of each."""
    if len(passes) == 1:
        return [merged]
    edges = np.cumsum([len(work[0]) for work in passes])[:-1]
    if isinstance(passes[0], Encode):
        return np.split(merged, edges)
    centres = np.split(merged.centre, edges)
    if merged.dense is None:
        return [Readouts(centre, None) for centre in centres]
    return list(map(Readouts, centres, np.split(merged.dense, edges)))


def encode(inputs: Float32, tokens: int = TOKENS_A_PASS) -> Lifting[Float32]:
    """Frames (T, 17, C) -> features (T, D), with at most `tokens` frames per pass."""
    if len(inputs) <= tokens:
        features: Float32 = yield Encode(inputs)
        return features
    parts = []
    for start in range(0, len(inputs), tokens):
        parts.append((yield Encode(inputs[start : start + tokens])))
    return np.concatenate(parts)


def lift_centre(inputs: Float32, window: Window, tokens: int = TOKENS_A_PASS) -> Lifting[Float32]:
    """Frames (T, 17, C) -> poses (T, 17, 3): the centre readout of a window around each frame."""
    poses = np.empty((len(inputs), 17, 3), np.float32)

    def collect(centres: Indices, readouts: Readouts) -> None:
        poses[centres] = readouts.centre[:, 0]

    yield from _decode_around(np.arange(len(inputs)), inputs, window, tokens, collect)
    return poses


def lift_dense(inputs: Float32, window: Window, tokens: int = TOKENS_A_PASS) -> Lifting[Float32]:
    """Frames (T, 17, C) -> poses (T, 17, 3): the dense readout of windows that overlap by a third
    or more, blended with Hann weights, so that velocities have no steps between windows."""
    half, frames = window.past, len(inputs)
    weights = np.hanning(window.length + 2)[1:-1].astype(np.float32)[:, None, None]
    total = np.zeros((frames + 2 * half, 17, 3), np.float32)
    weight = np.zeros((frames + 2 * half, 1, 1), np.float32)

    def collect(centres: Indices, readouts: Readouts) -> None:
        assert readouts.dense is not None
        for centre, poses in zip(centres, readouts.dense, strict=True):
            total[centre : centre + window.length] += poses * weights
            weight[centre : centre + window.length] += weights

    yield from _decode_around(_dense_centres(frames, window), inputs, window, tokens, collect)
    inside = slice(half, half + frames)
    return total[inside] / weight[inside]


def _decode_around(
    centres: Indices,
    inputs: Float32,
    window: Window,
    tokens: int,
    collect: Callable[[Indices, Readouts], None],
) -> Lifting[None]:
    """Decode the windows around `centres`, ascending, and `collect` their readouts. Each frame is
    encoded once, when its first window needs it, and dropped after its last window."""
    first, features = 0, np.empty((0, 0), np.float32)
    step = max(1, tokens // window.length)
    for start in range(0, len(centres), step):
        chunk = centres[start : start + step]
        while (end := first + len(features)) < min(chunk[-1] + window.future + 1, len(inputs)):
            more: Float32 = yield Encode(inputs[end : end + tokens])
            features = np.concatenate([features, more]) if len(features) else more
        passed = max(0, chunk[0] - window.past - first)
        first, features = first + passed, features[passed:]
        readouts: Readouts = yield Decode(window.over(features, chunk - first))
        collect(chunk, readouts)


def _dense_centres(frames: int, window: Window) -> Indices:
    """The centres of the fewest evenly spaced windows that overlap by a third and cover all frames;
    one centre for a sequence no longer than a window."""
    beyond = frames - window.length
    if beyond <= 0:
        return np.array([(frames - 1) // 2])
    hops = -(-beyond // (window.length - window.length // 3))
    return window.past + np.arange(hops + 1) * beyond // hops
