"""One person's frames as they arrive -> poses: at once, and again when the window is complete."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.errors import InvalidInput
from model.keypoints.sequences import Float32, KeypointSequence
from model.lifting.camera import mirror_input, mirror_pose
from model.lifting.lifter import InputState, Lifter, LiftOptions
from model.lifting.passes import Decode, Lifting, Readouts, encode


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


class LiftStream:
    """Sliding windows of one person. `push` the next frames, `flush` at the end.

    Both give a lifting, which is carried out before the next is begun; one that failed or was left
    ends the stream. Each frame is encoded once. With `lookahead` (0 .. the window's future, in
    frames) every frame is also answered that much after it, which needs a model with the dense
    readout; None asks for final answers alone. Raises InvalidInput.
    """

    def __init__(
        self, lifter: Lifter, options: LiftOptions | None = None, lookahead: int | None = None
    ):
        self._lifter = lifter
        self._options = options or LiftOptions()
        lifter.check(self._options)
        if self._options.readout != "centre":
            raise InvalidInput("a stream answers with the readout centre", ("readout",))
        future = lifter.window.future
        if lookahead is not None and not 0 <= lookahead <= future:
            raise InvalidInput(f"lookahead lies in 0..{future}, got {lookahead}", ("lookahead",))
        if lookahead is not None and not lifter.has_dense:
            raise InvalidInput(f"model {lifter.name} gives no early answers", ("lookahead",))
        self._lookahead = lookahead
        self._begin()

    def _begin(self) -> None:
        self._pushed = 0
        self._state: InputState | None = None
        open_windows = self._lifter.window.stream
        self._windows = [open_windows() for _ in range(1 + self._options.flip)]  # mirrored, too
        self._rotations = open_windows()

    @property
    def pushed(self) -> int:
        """Frames taken since the beginning, or the last flush."""
        return self._pushed

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
