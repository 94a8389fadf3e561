"""Streaming lifting of one person: provisional poses at once, final poses once windows are full."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.errors import InvalidInput
from model.keypoints.sequences import Float32, Indices, KeypointSequence
from model.lifting.camera import mirror_input, mirror_pose
from model.lifting.lifter import InputState, Lifter
from model.lifting.options import LiftOptions
from model.lifting.passes import Decode, Lifting, Readouts, encode
from model.lifting.strides import interpolated


class Poses(NamedTuple):
    """n consecutive frames, counted from the stream's first; xyz (n, 17, 3) m, camera axes."""

    frames: range
    xyz: Float32


NO_FRAMES = np.empty(0, np.int64)
NO_POSES = Poses(range(0), np.empty((0, 17, 3), np.float32))


class StreamAnswers(NamedTuple):
    """The poses of one push or flush, each frame once and in order.

    final: the centre readout, equal to that of the whole sequence; early: provisional poses, the
    dense readout `lookahead` frames after the frame.
    """

    final: Poses
    early: Poses


class LiftStream:
    """Sliding windows of one person. `push` the next frames, `flush` at the end.

    Both return a lift task, which must end before the next one starts; a task that fails or is
    abandoned ends the stream. With `lookahead` (frames, 0 to the delay) every frame also gets a
    provisional pose that many frames later, which needs a model with the dense readout; with None
    there are only final poses. `fps` is by default that of the first sequence pushed.

    Above the trained frame rates every k-th frame is lifted and the final poses between are
    interpolated, as in `Lifter.lift`. Provisional poses come from k streams, each of every k-th
    frame, so `lookahead` is rounded down to a multiple of k. Raises InvalidInput.
    """

    def __init__(
        self,
        lifter: Lifter,
        options: LiftOptions | None = None,
        lookahead: int | None = None,
        *,
        fps: float | None = None,
    ):
        self._lifter = lifter
        self._options = options or LiftOptions()
        lifter.check(self._options)
        if self._options.readout != "centre":
            raise InvalidInput("readout must be centre in a stream", ("readout",))
        if lookahead is not None and not lifter.has_dense:
            raise InvalidInput(f"model {lifter.name} has no provisional poses", ("lookahead",))
        self._lookahead = lookahead
        self._phases: list[_Phase] = []  # phase p: the frames p, p + k, p + 2k, ..
        self._begin()
        if fps is not None:
            self._open(fps)

    def _begin(self) -> None:
        self._pushed = 0
        # the last lifted frame with a final pose; at first one before the stream, never returned
        self._lifted, self._pose = np.array([-1]), np.zeros((1, 17, 3), np.float32)

    @property
    def pushed(self) -> int:
        """Frames pushed since the beginning or the last flush."""
        return self._pushed

    def push(self, sequence: KeypointSequence) -> Lifting[StreamAnswers]:
        """Take the next frames; returns the poses that they complete."""
        if not self._phases:
            self._open(sequence.fps)
        first = self._pushed
        self._pushed += len(sequence)
        if self._stride == 1:
            return (yield from self._phases[0].push(sequence))
        self._newest = sequence.pick(np.array([len(sequence) - 1]))
        parts = []
        for number, phase in enumerate(self._phases):
            rows = np.arange((number - first) % self._stride, len(sequence), self._stride)
            if len(rows):
                parts.append((number, (yield from phase.push(sequence.pick(rows)))))
        return self._merged(parts)

    def flush(self) -> Lifting[StreamAnswers]:
        """The remaining poses, with the last frame repeated; then the stream starts anew."""
        if not self._pushed:
            return StreamAnswers(NO_POSES, NO_POSES)
        if self._stride == 1:
            self._pushed = 0
            return (yield from self._phases[0].flush())
        parts = []
        if (self._pushed - 1) % self._stride:  # the last frame is lifted, too
            parts.append((0, (yield from self._phases[0].push(self._newest))))
        for number, phase in enumerate(self._phases):
            parts.append((number, (yield from phase.flush())))
        poses = self._merged(parts)
        self._begin()
        return poses

    def _open(self, fps: float) -> None:
        self._stride = self._lifter.info.stride(fps)
        most, ahead = self._lifter.window.future * self._stride, self._lookahead
        if ahead is not None and not 0 <= ahead <= most:
            raise InvalidInput(
                f"lookahead must be between 0 and {most}, got {ahead}", ("lookahead",)
            )
        count = 1 if ahead is None else self._stride
        ahead = None if ahead is None else ahead // self._stride
        self._phases = [_Phase(self._lifter, self._options, ahead) for _ in range(count)]

    def _merged(self, parts: Sequence[tuple[int, StreamAnswers]]) -> StreamAnswers:
        """The poses of the phases, by number -> those of the stream up to its newest frame."""
        frames, xyz = self._joined([(n, poses.final) for n, poses in parts if n == 0])
        lifted = np.concatenate([self._lifted, np.minimum(frames, self._pushed - 1)])
        xyz = np.concatenate([self._pose, xyz])
        due = range(int(self._lifted[-1]) + 1, int(lifted[-1]) + 1)
        final = Poses(due, interpolated(lifted, xyz, due))
        self._lifted, self._pose = lifted[-1:], xyz[-1:]
        frames, xyz = self._joined([(n, poses.early) for n, poses in parts])
        order = np.argsort(frames)
        order = order[frames[order] < self._pushed]
        start = int(frames[order[0]]) if len(order) else 0
        return StreamAnswers(final, Poses(range(start, start + len(order)), xyz[order]))

    def _joined(self, parts: Sequence[tuple[int, Poses]]) -> tuple[Indices, Float32]:
        """Poses of phases, by number, with the frame numbers of the stream."""
        frames = [np.array(poses.frames, np.int64) * self._stride + n for n, poses in parts]
        xyz = [poses.xyz for _, poses in parts]
        return np.concatenate([NO_FRAMES, *frames]), np.concatenate([NO_POSES.xyz, *xyz])


class _Phase:
    """A stream of every k-th frame, all of which are lifted; each is encoded once."""

    def __init__(self, lifter: Lifter, options: LiftOptions, lookahead: int | None):
        self._lifter = lifter
        self._options = options
        self._lookahead = lookahead
        self._begin()

    def _begin(self) -> None:
        self._pushed = 0
        self._state: InputState | None = None
        open_windows = self._lifter.window.stream
        self._windows = [open_windows() for _ in range(1 + self._options.flip)]  # mirrored, too
        self._rotations = open_windows()

    def push(self, sequence: KeypointSequence) -> Lifting[StreamAnswers]:
        prepared = self._lifter.prepare(sequence.to_h36m17(), self._options.focal_px, self._state)
        self._state = prepared.state
        ends = range(self._pushed, self._pushed + len(sequence))
        self._pushed = ends.stop
        rotations = self._rotations.push(prepared.rotation)
        windows = []
        for mirrored, stream in enumerate(self._windows):
            inputs = mirror_input(prepared.inputs) if mirrored else prepared.inputs
            features = yield from encode(inputs, self._lifter.tokens_a_pass)
            windows.append(stream.push(features))
        return (yield from self._lift(ends, windows, rotations))

    def flush(self) -> Lifting[StreamAnswers]:
        if not self._pushed:
            return StreamAnswers(NO_POSES, NO_POSES)
        ends = range(self._pushed, self._pushed + self._lifter.window.future)
        windows = [stream.flush() for stream in self._windows]
        poses = yield from self._lift(ends, windows, self._rotations.flush())
        self._begin()
        return poses

    def _lift(
        self, ends: range, windows: list[Float32], rotations: Float32
    ) -> Lifting[StreamAnswers]:
        """The poses of the windows (n, f, D), plain and mirrored, that end at the frames `ends`."""
        future, ahead = self._lifter.window.future, self._lookahead
        final = self._due(ends, future)
        provisional = range(0) if ahead is None else self._due(ends, ahead)
        rows = final if provisional == final else sorted({*final, *provisional})
        centre, dense = yield from self._decode(windows, rows)

        def finish(due: range, delay: int, xyz: Float32) -> Poses:
            """The poses of the windows `due`, whose frames are `delay` frames before the end."""
            if not due:
                return NO_POSES
            at, first = rows.index(due.start), ends.start - delay
            turned = rotations[due.start : due.stop, -1 - delay]
            poses = self._lifter.finish(xyz[at : at + len(due)], turned, self._options.height_m)
            return Poses(range(first + due.start, first + due.stop), poses)

        return StreamAnswers(finish(final, future, centre), finish(provisional, ahead or 0, dense))

    def _due(self, ends: range, delay: int) -> range:
        """The rows of `ends` that are `delay` frames after a frame of the stream."""
        first = max(ends.start, delay)
        stop = max(first, min(ends.stop, self._pushed + delay))
        return range(first - ends.start, stop - ends.start)

    def _decode(
        self, sides: list[Float32], rows: Sequence[int]
    ) -> Lifting[tuple[Float32, Float32]]:
        """Decode rows of the windows -> final and provisional poses, each (len(rows), 17, 3)."""
        parts = []
        step = max(1, self._lifter.tokens_a_pass // (self._lifter.frames * len(sides)))
        for start in range(0, len(rows), step):
            chunk = [_picked(side, rows[start : start + step]) for side in sides]
            readouts: Readouts = yield Decode(
                chunk[0] if len(chunk) == 1 else np.concatenate(chunk)
            )
            parts.append(self._read(readouts))
        if len(parts) == 1:
            return parts[0]
        none = (NO_POSES.xyz, NO_POSES.xyz)
        centre, dense = map(np.concatenate, zip(none, *parts, strict=True))
        return centre, dense

    def _read(self, readouts: Readouts) -> tuple[Float32, Float32]:
        centre = self._mean_of_sides(readouts.centre[:, 0])
        if self._lookahead is None:
            return centre, centre
        assert readouts.dense is not None
        return centre, self._mean_of_sides(readouts.dense[:, -1 - self._lookahead])

    def _mean_of_sides(self, xyz: Float32) -> Float32:
        if not self._options.flip:
            return xyz
        plain, mirrored = np.split(xyz, 2)
        return (plain + mirror_pose(mirrored)) / 2


def _picked(windows: Float32, rows: Sequence[int]) -> Float32:
    """Rows of the windows: a view if consecutive, else a copy."""
    first, last = rows[0], rows[-1]
    return windows[first : last + 1] if last - first < len(rows) else windows[rows]
