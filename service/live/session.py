"""A live stream without its socket: frames of people in, answers out, in the frames' order.

Rules for whoever changes this: a person's presence is an unbroken run of frames, and has windows of
its own; who is absent in a frame is flushed with that frame, and begins anew on return. A frame is
answered twice, early and finally (once, without early answers), each time with all of its people
and after the frame before it. Nothing here runs the network or waits: `push` and `flush` say what
is to be carried out, `answer` takes what came of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model import KeypointSequence, Lifting, MotionStream, StreamAnswers

PersonId = int | str
Pose = NDArray[np.float32]


class Answer(NamedTuple):
    """The people of one frame; each pose is (17, 3) m. `skipped` are the frames just before it that
    nobody looked at: theirs are guessed from their neighbours."""

    frame: int
    final: bool
    people: Mapping[PersonId, Pose]
    skipped: Sequence[int]


class PersonAnswers(NamedTuple):
    """What came of one person's lifting; frames are counted from `first`."""

    id: PersonId
    first: int
    found: StreamAnswers


PersonLifting = Lifting[PersonAnswers]


class LiveSession:
    """The people of one stream. `open_stream` opens a new MotionStream each time that a person
    appears; `provisional`: it gives provisional poses, too."""

    def __init__(
        self,
        open_stream: Callable[[], MotionStream],
        *,
        provisional: bool,
    ):
        self._open_stream = open_stream
        self._present: dict[PersonId, _Presence] = {}
        self._orders = [_FrameOrder(final) for final in ((False, True) if provisional else (True,))]

    def push(
        self, frames: range, people: Mapping[PersonId, KeypointSequence]
    ) -> list[PersonLifting]:
        """The next frames, most often one. Each sequence ends with them; one that is shorter begins
        with its own first frame. To be carried out, in any order, before the next."""
        staying = {
            id
            for id, sequence in people.items()
            if id in self._present and len(sequence) == len(frames)
        }
        leaving = [self._leave(id) for id in list(self._present) if id not in staying]
        taken = [self._take(id, sequence, frames) for id, sequence in people.items()]
        for order in self._orders:
            order.expect(frames, {id: len(sequence) for id, sequence in people.items()})
        return [*leaving, *taken]

    def flush(self) -> list[PersonLifting]:
        """At the end: everybody leaves."""
        return [self._leave(id) for id in list(self._present)]

    def answer(self, found: Iterable[PersonAnswers]) -> list[Answer]:
        """What all liftings of one push or flush gave -> the answers that are now complete."""
        for one in found:
            for order in self._orders:
                order.put(one)
        return [answer for order in self._orders for answer in order.complete()]

    def _take(self, id: PersonId, sequence: KeypointSequence, frames: range) -> PersonLifting:
        if id not in self._present:
            self._present[id] = _Presence(
                id,
                frames.stop - len(sequence),
                self._open_stream(),
            )
        presence = self._present[id]
        return presence.finish(presence.stream.push(sequence))

    def _leave(self, id: PersonId) -> PersonLifting:
        presence = self._present.pop(id)
        return presence.finish(presence.stream.flush())


@dataclass(frozen=True)
class _Presence:
    """One person from their coming, in frame `first`, to their leaving."""

    id: PersonId
    first: int
    stream: MotionStream

    def finish(self, task: Lifting[StreamAnswers]) -> PersonLifting:
        return PersonAnswers(self.id, self.first, (yield from task))


@dataclass
class _Waiting:
    """A frame whose people are not all answered yet; those who are not have None."""

    people: dict[PersonId, Pose | None]
    skipped: Sequence[int]


@dataclass
class _FrameOrder:
    """Gives each frame out in order, once it has all its people."""

    final: bool
    _frames: dict[int, _Waiting] = field(default_factory=dict)

    def expect(self, frames: range, lengths: Mapping[PersonId, int]) -> None:
        """Frames to come, and in how many of the last of them each person is."""
        for frame in frames:
            people = [id for id, length in lengths.items() if frame >= frames.stop - length]
            self._frames[frame] = _Waiting(dict.fromkeys(people), ())
        self._frames[frames[-1]].skipped = frames[:-1]

    def put(self, answers: PersonAnswers) -> None:
        poses = answers.found.final if self.final else answers.found.early
        for frame, xyz in zip(poses.frames, poses.xyz, strict=True):
            self._frames[answers.first + frame].people[answers.id] = xyz

    def complete(self) -> Iterator[Answer]:
        for frame in list(self._frames):
            waiting = self._frames[frame]
            people = {id: xyz for id, xyz in waiting.people.items() if xyz is not None}
            if len(people) < len(waiting.people):
                return
            del self._frames[frame]
            yield Answer(frame, self.final, people, waiting.skipped)
