"""Lifting as a series of passes of the network, for whoever runs the network.

A lifting is a generator: it yields the passes it needs, is sent what each gives, and returns its
answer. It neither computes nor waits, so the same lifting runs alone or batched with others'.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import Float32
from model.lifting.window import Window

TOKENS_A_PASS = 216
"""Frames, or windows x frames, of one pass: on a CPU, 150 to 350 is fastest and more is slower."""


class Encode(NamedTuple):
    """The spatial half, for frames (N, 17, C); it is sent their features (N, D)."""

    inputs: Float32

    @property
    def tokens(self) -> int:
        return len(self.inputs)


class Decode(NamedTuple):
    """The temporal half, for windows of features (B, f, D); it is sent Readouts."""

    windows: Float32

    @property
    def tokens(self) -> int:
        return self.windows.shape[0] * self.windows.shape[1]


class Readouts(NamedTuple):
    """centre (B, 1, 17, 3) and dense (B, f, 17, 3) m, in the axes of each frame's input; dense is
    None for a model without it."""

    centre: Float32
    dense: Float32 | None


Frames = NDArray[np.int64]
Pass = Encode | Decode
Result = TypeVar("Result")
Lifting = Generator[Pass, Any, Result]


def carry_out(lifting: Lifting[Result], run: Callable[[Pass], Any]) -> Result:
    """The answer of a lifting whose passes are run one after another."""
    try:
        wanted = next(lifting)
        while True:
            wanted = lifting.send(run(wanted))
    except StopIteration as done:
        answer: Result = done.value
        return answer


def merge_passes(passes: Sequence[Pass]) -> Pass:
    """Passes of one kind, which one call of the network can carry out, as one."""
    if len(passes) == 1:
        return passes[0]
    return type(passes[0])(np.concatenate([one[0] for one in passes]))


def split_answers(found: Any, passes: Sequence[Pass]) -> list[Any]:
    """What the merged pass gave -> what each of the passes gives."""
    if len(passes) == 1:
        return [found]
    edges = np.cumsum([len(one[0]) for one in passes])[:-1]
    if isinstance(passes[0], Encode):
        return np.split(found, edges)
    centres = np.split(found.centre, edges)
    if found.dense is None:
        return [Readouts(centre, None) for centre in centres]
    return list(map(Readouts, centres, np.split(found.dense, edges)))


def encode(inputs: Float32, tokens: int = TOKENS_A_PASS) -> Lifting[Float32]:
    """Frames (T, 17, C) -> their features (T, D), at most so many tokens a pass."""
    if len(inputs) <= tokens:
        features: Float32 = yield Encode(inputs)
        return features
    parts = []
    for start in range(0, len(inputs), tokens):
        parts.append((yield Encode(inputs[start : start + tokens])))
    return np.concatenate(parts)


def lift_centre(inputs: Float32, window: Window, tokens: int = TOKENS_A_PASS) -> Lifting[Float32]:
    """Frames (T, 17, C) -> poses (T, 17, 3): a window for each, answered at its centre."""
    poses = np.empty((len(inputs), 17, 3), np.float32)

    def take(centres: Frames, found: Readouts) -> None:
        poses[centres] = found.centre[:, 0]

    yield from _decode_around(np.arange(len(inputs)), inputs, window, tokens, take)
    return poses


def lift_dense(inputs: Float32, window: Window, tokens: int = TOKENS_A_PASS) -> Lifting[Float32]:
    """Frames (T, 17, C) -> poses (T, 17, 3): windows of which each overlaps the next by a third or
    more, every frame of each blended with weights that fall smoothly towards its ends, so that no
    seam shows."""
    half, frames = window.past, len(inputs)
    weights = np.hanning(window.length + 2)[1:-1].astype(np.float32)[:, None, None]
    total = np.zeros((frames + 2 * half, 17, 3), np.float32)
    weight = np.zeros((frames + 2 * half, 1, 1), np.float32)

    def take(centres: Frames, found: Readouts) -> None:
        assert found.dense is not None
        for centre, poses in zip(centres, found.dense, strict=True):
            total[centre : centre + window.length] += poses * weights
            weight[centre : centre + window.length] += weights

    yield from _decode_around(_dense_centres(frames, window), inputs, window, tokens, take)
    inside = slice(half, half + frames)
    return total[inside] / weight[inside]


def _decode_around(
    centres: Frames,
    inputs: Float32,
    window: Window,
    tokens: int,
    take: Callable[[Frames, Readouts], None],
) -> Lifting[None]:
    """The windows around these frames, in order, as many a pass as fit; each frame is encoded once,
    when it is needed, and forgotten after its last window."""
    first, features = 0, np.empty((0, 0), np.float32)
    for some in _chunks(centres, window, tokens):
        while (end := first + len(features)) < min(some[-1] + window.future + 1, len(inputs)):
            more: Float32 = yield Encode(inputs[end : end + tokens])
            features = np.concatenate([features, more]) if len(features) else more
        passed = max(0, some[0] - window.past - first)
        first, features = first + passed, features[passed:]
        found: Readouts = yield Decode(window.over(features, some - first))
        take(some, found)


def _dense_centres(frames: int, window: Window) -> Frames:
    """As few windows as cover all frames, evenly spaced; of a shorter sequence, one."""
    beyond = frames - window.length
    if beyond <= 0:
        return np.array([(frames - 1) // 2])
    hops = -(-beyond // (window.length - window.length // 3))
    return window.past + np.arange(hops + 1) * beyond // hops


def _chunks(rows: Frames, window: Window, tokens: int) -> Iterator[Frames]:
    """The rows, as many at a time as one pass takes windows."""
    step = max(1, tokens // window.length)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
