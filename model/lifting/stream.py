"""One person's frames as they arrive -> poses: at once, and again when the window is complete."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.sequences import Float32, KeypointSequence
from model.lifting.camera import mirror_input, mirror_pose
from model.lifting.lifter import InputState, Lifter
from model.lifting.options import LiftOptions
from model.lifting.passes import Decode, Lifting, Readouts, encode
from model.lifting.strides import interpolated


class Poses(NamedTuple):
    """n frames, counted from the stream's first; xyz (n, 17, 3) m, camera axes."""

    frames: range
    xyz: Float32


NOBODY = Poses(range(0), np.empty((0, 17, 3), np.float32))


class StreamAnswers(NamedTuple):
    """final: the centre readout, once the window is complete; each frame once, in order, the same
    as of the whole sequence. early: the dense readout, `lookahead` frames after the frame."""

    final: Poses
    early: Poses


class _Scattered(NamedTuple):
    """Poses xyz (n, 17, 3) of frames (n,) that need not follow each other."""

    frames: NDArray[np.int64]
    xyz: Float32


def _in_order(parts: Sequence[_Scattered]) -> Poses:
    """The poses of all parts, whose frames together follow each other."""
    if not any(len(part.frames) for part in parts):
        return NOBODY
    frames = np.concatenate([part.frames for part in parts])
    order = np.argsort(frames)
    first = int(frames[order[0]])
    return Poses(range(first, first + len(frames)), np.concatenate([p.xyz for p in parts])[order])


def _joined(parts: Sequence[Poses]) -> Poses:
    """Poses that follow each other, as one."""
    frames = [part.frames for part in parts if part.frames]
    if not frames:
        return NOBODY
    return Poses(range(frames[0].start, frames[-1].stop), np.concatenate([p.xyz for p in parts]))


class LiftStream:
    """Sliding windows of one person. `push` the next frames, `flush` at the end.

    Both return a lift task, which is run to its end before the next; one that failed or was
    abandoned ends the stream. With `lookahead` (frames, 0 to the delay) every frame also gets a
    provisional pose that many frames later, which needs a model with the dense readout; None: final
    poses alone. `fps` is that of all frames, by default of the first sequence pushed.

    Above the trained frame rates every k-th frame is lifted, as in `Lifter.lift`, and the final
    poses between are interpolated. Provisional poses come from k streams, each of every k-th frame,
    so `lookahead` is rounded down to a multiple of k. Raises InvalidInput.
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
            raise InvalidInput("a stream has the readout centre alone", ("readout",))
        if lookahead is not None and not lifter.has_dense:
            raise InvalidInput(f"model {lifter.name} has no provisional poses", ("lookahead",))
        self._lookahead = lookahead
        self._streams: list[_EvenStream] = []  # of every k-th frame: from frame 0, from frame 1, ..
        self._pushed = self._answered = 0
        self._lifted = np.zeros(0, np.int64)  # the last lifted frame whose final pose is known
        self._pose = NOBODY.xyz
        if fps is not None:
            self._open(fps)

    @property
    def pushed(self) -> int:
        """Frames pushed since the beginning, or the last flush."""
        return self._pushed

    def push(self, sequence: KeypointSequence) -> Lifting[StreamAnswers]:
        """Take the next frames; returns the poses that they complete."""
        if not self._streams:
            self._open(sequence.fps)
        first, self._pushed = self._pushed, self._pushed + len(sequence)
        if self._stride == 1:
            return (yield from self._streams[0].push(sequence))
        self._newest = sequence.pick(np.array([len(sequence) - 1]))
        final, early = NOBODY, []
        for phase, stream in enumerate(self._streams):
            rows = np.arange((phase - first) % self._stride, len(sequence), self._stride)
            if len(rows):
                poses = yield from stream.push(sequence.pick(rows))
                early.append(self._spread(poses.early, phase))
                if phase == 0:
                    final = self._filled(poses.final)
        return StreamAnswers(final, _in_order(early))

    def flush(self) -> Lifting[StreamAnswers]:
        """The poses still due, with the last frame repeated; then the stream is as new."""
        if not self._pushed:
            return StreamAnswers(NOBODY, NOBODY)
        last, self._pushed = self._pushed - 1, 0
        if self._stride == 1:
            return (yield from self._streams[0].flush())
        final, early = [], []
        if last % self._stride:  # the last frame is lifted, too
            poses = yield from self._streams[0].push(self._newest)
            final.append(poses.final)
            early.append(self._spread(poses.early, 0, last))
        for phase, stream in enumerate(self._streams):
            poses = yield from stream.flush()
            early.append(self._spread(poses.early, phase, last))
            if phase == 0:
                final.append(poses.final)
        answers = StreamAnswers(self._filled(_joined(final), last), _in_order(early))
        self._answered, self._lifted, self._pose = 0, np.zeros(0, np.int64), NOBODY.xyz
        return answers

    def _open(self, fps: float) -> None:
        self._stride = self._lifter.info.stride(fps)
        most, ahead = self._lifter.window.future * self._stride, self._lookahead
        if ahead is not None and not 0 <= ahead <= most:
            raise InvalidInput(
                f"lookahead must be between 0 and {most}, got {ahead}", ("lookahead",)
            )
        count = 1 if ahead is None else self._stride
        ahead = None if ahead is None else ahead // self._stride
        self._streams = [_EvenStream(self._lifter, self._options, ahead) for _ in range(count)]

    def _filled(self, poses: Poses, last: int | None = None) -> Poses:
        """Final poses of lifted frames -> those of all frames up to them."""
        if not poses.frames:
            return NOBODY
        lifted = np.array(poses.frames) * self._stride
        lifted = np.concatenate(
            [self._lifted, lifted if last is None else np.minimum(lifted, last)]
        )
        xyz = np.concatenate([self._pose, poses.xyz])
        frames = range(self._answered, int(lifted[-1]) + 1)
        self._answered, self._lifted, self._pose = frames.stop, lifted[-1:], xyz[-1:]
        return Poses(frames, interpolated(lifted, xyz, frames))

    def _spread(self, poses: Poses, phase: int, last: int | None = None) -> _Scattered:
        """Poses of every k-th frame, numbered in the whole stream; none after the last."""
        frames = np.array(poses.frames, np.int64) * self._stride + phase
        known = frames <= last if last is not None else np.full(len(frames), True)
        return _Scattered(frames[known], poses.xyz[known])


class _EvenStream:
    """A stream of which every frame is lifted; each is encoded once."""

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
        """Take the next frames; the answers are those that they make possible."""
        prepared = self._lifter.prepare(sequence.to_h36m17(), self._options.focal_px, self._state)
        self._state = prepared.state
        ends = range(self._pushed, self._pushed + len(sequence))
        self._pushed = ends.stop
        rotations = self._rotations.push(prepared.rotation)
        windows = []
        for side, stream in enumerate(self._windows):
            inputs = mirror_input(prepared.inputs) if side else prepared.inputs
            features = yield from encode(inputs, self._lifter.tokens_a_pass)
            windows.append(stream.push(features))
        return (yield from self._answer(ends, windows, rotations))

    def flush(self) -> Lifting[StreamAnswers]:
        """The answers still owed, the last frame repeated; then the stream is as new."""
        if not self._pushed:
            return StreamAnswers(NOBODY, NOBODY)
        ends = range(self._pushed, self._pushed + self._lifter.window.future)
        windows = [stream.flush() for stream in self._windows]
        answers = yield from self._answer(ends, windows, self._rotations.flush())
        self._begin()
        return answers

    def _answer(
        self, ends: range, windows: list[Float32], rotations: Float32
    ) -> Lifting[StreamAnswers]:
        """What the windows that end at these frames say; for each side of the picture its own."""
        future, ahead = self._lifter.window.future, self._lookahead
        final = self._answering(ends, future)
        early = range(0) if ahead is None else self._answering(ends, ahead)
        asked = final if early == final else sorted({*final, *early})
        centre, dense = yield from self._decode(windows, asked)

        def finish(rows: range, delay: int, xyz: Float32) -> Poses:
            """The poses of the frames so long before these rows, among all that was asked."""
            if not rows:
                return NOBODY
            at, first = asked.index(rows.start), ends.start - delay
            turned = rotations[rows.start : rows.stop, -1 - delay]
            poses = self._lifter.finish(xyz[at : at + len(rows)], turned, self._options.height_m)
            return Poses(range(first + rows.start, first + rows.stop), poses)

        return StreamAnswers(finish(final, future, centre), finish(early, ahead or 0, dense))

    def _answering(self, ends: range, delay: int) -> range:
        """Those of the ends, counted from the first, that come so many frames after a frame of the
        stream."""
        first = max(ends.start, delay)
        stop = max(first, min(ends.stop, self._pushed + delay))
        return range(first - ends.start, stop - ends.start)

    def _decode(
        self, sides: list[Float32], rows: Sequence[int]
    ) -> Lifting[tuple[Float32, Float32]]:
        """Some of the windows (n, f, D) -> twice (len(rows), 17, 3): the centre, and the frame
        answered early."""
        parts = []
        step = max(1, self._lifter.tokens_a_pass // (self._lifter.frames * len(self._windows)))
        for start in range(0, len(rows), step):
            wanted = [_picked(side, rows[start : start + step]) for side in sides]
            found: Readouts = yield Decode(
                wanted[0] if len(wanted) == 1 else np.concatenate(wanted)
            )
            parts.append(self._read(found))
        if len(parts) == 1:
            return parts[0]
        nobody = (NOBODY.xyz, NOBODY.xyz)
        centre, dense = map(np.concatenate, zip(nobody, *parts, strict=True))
        return centre, dense

    def _read(self, found: Readouts) -> tuple[Float32, Float32]:
        centre = self._both_sides(found.centre[:, 0])
        if self._lookahead is None:
            return centre, centre
        assert found.dense is not None
        return centre, self._both_sides(found.dense[:, -1 - self._lookahead])

    def _both_sides(self, xyz: Float32) -> Float32:
        if not self._options.flip:
            return xyz
        plain, mirrored = np.split(xyz, 2)
        return (plain + mirror_pose(mirrored)) / 2


def _picked(windows: Float32, rows: Sequence[int]) -> Float32:
    """Rows in a row are a view, not a copy; at the end of a short stream they may not be."""
    first, last = rows[0], rows[-1]
    return windows[first : last + 1] if last - first < len(rows) else windows[rows]
