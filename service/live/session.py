"""A live stream without its socket: people's keypoints in, poses out, in frame order.

Invariants: a person is lifted in a MotionStream of their own while present in every frame; a person
who is absent in a frame is flushed with it, and starts anew on return. Every frame is returned with
provisional poses (if there are any) and with final ones, each time with all its people, and in
order. Nothing here runs the network or waits: `push` and `flush` return lift tasks, and `complete`
takes their results.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model import KeypointSequence, Lifting, MotionStream, StreamAnswers

PersonId = int | str
Pose = NDArray[np.float32]


class FramePoses(NamedTuple):
    """The people of one frame, with poses (17, 3) m. `skipped` are the frames just before it whose
    images were not processed; their poses are interpolated."""

    frame: int
    final: bool
    people: Mapping[PersonId, Pose]
    skipped: Sequence[int]


class PersonPoses(NamedTuple):
    """The result of one person's lift task; frames of the poses are counted from `first`."""

    id: PersonId
    first: int
    poses: StreamAnswers


PersonTask = Lifting[PersonPoses]


class LiveSession:
    """The people of one stream. `open_stream` is called whenever a person appears; `provisional`:
    its streams return provisional poses, too."""

    def __init__(self, open_stream: Callable[[], MotionStream], *, provisional: bool):
        self._open_stream = open_stream
        self._present: dict[PersonId, _Presence] = {}
        self._orders = [_FrameOrder(final) for final in ((False, True) if provisional else (True,))]

    def push(self, frames: range, people: Mapping[PersonId, KeypointSequence]) -> list[PersonTask]:
        """Take the next frames, most often one. Each person's keypoints are those of the last of
        these frames; a person without all of them is new. Run the tasks, in any order, and
        `complete` their results before the next push."""
        staying = {
            id
            for id, sequence in people.items()
            if id in self._present and len(sequence) == len(frames)
        }
        leaving = [self._leave(id) for id in list(self._present) if id not in staying]
        pushed = [self._push(id, sequence, frames) for id, sequence in people.items()]
        for order in self._orders:
            order.expect(frames, {id: len(sequence) for id, sequence in people.items()})
        return [*leaving, *pushed]

    def flush(self) -> list[PersonTask]:
        """Flush all people, at the end of the stream."""
        return [self._leave(id) for id in list(self._present)]

    def complete(self, results: Iterable[PersonPoses]) -> list[FramePoses]:
        """Take the results of all tasks of one push or flush; returns the completed frames."""
        for result in results:
            for order in self._orders:
                order.put(result)
        return [frame for order in self._orders for frame in order.complete()]

    def _push(self, id: PersonId, sequence: KeypointSequence, frames: range) -> PersonTask:
        if id not in self._present:
            first = frames.stop - len(sequence)
            self._present[id] = _Presence(id, first, self._open_stream())
        presence = self._present[id]
        return presence.task(presence.stream.push(sequence))

    def _leave(self, id: PersonId) -> PersonTask:
        presence = self._present.pop(id)
        return presence.task(presence.stream.flush())


@dataclass(frozen=True)
class _Presence:
    """One person who is present from frame `first` on."""

    id: PersonId
    first: int
    stream: MotionStream

    def task(self, task: Lifting[StreamAnswers]) -> PersonTask:
        return PersonPoses(self.id, self.first, (yield from task))


@dataclass
class _Pending:
    """A frame with people whose poses are not known yet, which are None."""

    people: dict[PersonId, Pose | None]
    skipped: Sequence[int]


@dataclass
class _FrameOrder:
    """Returns the frames in order, each when the poses of all its people are known."""

    final: bool
    _frames: dict[int, _Pending] = field(default_factory=dict)

    def expect(self, frames: range, lengths: Mapping[PersonId, int]) -> None:
        """Add frames; each person is present in the last `lengths[id]` of them."""
        for frame in frames:
            people = [id for id, length in lengths.items() if frame >= frames.stop - length]
            self._frames[frame] = _Pending(dict.fromkeys(people), ())
        self._frames[frames[-1]].skipped = frames[:-1]

    def put(self, result: PersonPoses) -> None:
        poses = result.poses.final if self.final else result.poses.early
        for frame, xyz in zip(poses.frames, poses.xyz, strict=True):
            self._frames[result.first + frame].people[result.id] = xyz

    def complete(self) -> Iterator[FramePoses]:
        for frame in list(self._frames):
            pending = self._frames[frame]
            people = {id: xyz for id, xyz in pending.people.items() if xyz is not None}
            if len(people) < len(pending.people):
                return
            del self._frames[frame]
            yield FramePoses(frame, self.final, people, pending.skipped)
