"""The JSON messages of WS /stream, read and written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, Field, PlainValidator, ValidationError

from model import (
    DETECTORS,
    MAX_FPS,
    InvalidInput,
    KeypointSequence,
    Lifter,
    MotionOptions,
    PoseError,
    TooLarge,
    UnknownName,
    applied,
    rate_warnings,
    skeleton_named,
)
from service.errors import invalid_fields, place
from service.live.session import FramePoses, PersonId
from service.settings import Settings
from service.wire.documents import dump, parse_object
from service.wire.fields import STRICT, Count, Finite, Side, options_model
from service.wire.keypoints import read_keypoints
from service.wire.problems import problem

MAX_TEXT_BYTES = 1_000_000
"""Text messages are parsed in the event loop, so they must be short."""
MAX_ID = 2**53
MAX_ID_LENGTH = 64

Model = TypeVar("Model", bound=BaseModel)

_Options = options_model(
    "StreamFields", MotionOptions, STRICT, "readout", "constant_limbs", "space"
)


class Opening(_Options):  # type: ignore[misc, valid-type]
    """The first message. Images need neither skeleton nor image_size."""

    fps: Annotated[Finite, Field(gt=0, le=MAX_FPS)]
    skeleton: str | None = None
    image_size: Annotated[list[Side] | None, Field(min_length=2, max_length=2)] = None
    model: str | None = None
    lookahead: Count | None = None
    repair: bool = False
    detector: str | None = None
    max_people: Annotated[int | None, Field(ge=1)] = None
    policy: Literal["drop_oldest", "block"] = "drop_oldest"

    @property
    def size(self) -> tuple[int, int] | None:
        return None if self.image_size is None else (self.image_size[0], self.image_size[1])

    def options(self) -> MotionOptions:
        return MotionOptions(**self.model_dump(include=set(_Options.model_fields)))

    def provisional_after(self, lifter: Lifter) -> int | None:
        """The delay of provisional poses in frames, by default 0 if the model has them; None for
        final poses only."""
        if "lookahead" in self.model_fields_set:
            return self.lookahead
        return 0 if lifter.has_dense else None


def _person_id(value: object) -> PersonId:
    if type(value) is int and abs(value) <= MAX_ID:
        return value
    if type(value) is str and 1 <= len(value) <= MAX_ID_LENGTH:
        return value
    raise ValueError("an id must be an integer or a string of 1 to 64 characters")


class _Person(BaseModel):
    model_config = STRICT

    id: Annotated[int | str, PlainValidator(_person_id)]
    keypoints: Any


class _Frame(BaseModel):
    model_config = STRICT

    frame: Count
    people: list[_Person]


class _End(BaseModel):
    model_config = STRICT

    end: bool


@dataclass(frozen=True)
class End:
    """The client ends the stream."""


@dataclass(frozen=True)
class Frame:
    """A frame's people, each with H36M-17 keypoints of one frame."""

    number: int
    people: Mapping[PersonId, KeypointSequence]


def read_opening(text: str, settings: Settings) -> Opening:
    """Raises NotJson and InvalidInput."""
    most_people = settings.live_people
    opening = _validated(Opening, _parsed(text))
    if opening.skeleton is not None:
        skeleton_named(opening.skeleton)
    # any other name may be a file or an address
    if opening.detector not in (None, settings.detector, *DETECTORS):
        raise UnknownName("detector", str(opening.detector), DETECTORS)
    if opening.max_people is not None and opening.max_people > most_people:
        raise InvalidInput(
            f"max_people must be between 1 and {most_people}, got {opening.max_people}",
            ("max_people",),
        )
    return opening


def read_message(text: str, opening: Opening, most_people: int) -> Frame | End:
    """A message after the first; raises NotJson, TooLarge and InvalidInput, with the location."""
    document = _parsed(text)
    if _ends(document):
        return End()
    frame = _validated(_Frame, document)
    count = len(frame.people)
    if count > most_people:
        raise TooLarge(f"a frame may have {most_people} people, got {count}", ("people",))
    ids = [person.id for person in frame.people]
    for row, id in enumerate(ids):
        if id in ids[:row]:
            raise InvalidInput(f"the id {id!r} is not unique in its frame", ("people", row, "id"))
    keypoints = _keypoints([person.keypoints for person in frame.people], opening)
    return Frame(frame.frame, dict(zip(ids, keypoints, strict=True)))


def is_end(text: str) -> bool:
    """Whether a message ends the stream; raises as read_message."""
    return _ends(_parsed(text))


def _ends(document: dict[str, Any]) -> bool:
    if "end" not in document:
        return False
    if not _validated(_End, document).end:
        raise InvalidInput("end must be true, got false", ("end",))
    return True


def _keypoints(rows: list[Any], opening: Opening) -> list[KeypointSequence]:
    """All people's keypoints converted at once, which takes little longer than for one."""
    if opening.skeleton is None or opening.size is None:
        missing = "skeleton" if opening.skeleton is None else "image_size"
        raise InvalidInput(f"keypoints need {missing} in the first message", (missing,))
    if not rows:
        return []
    skeleton = skeleton_named(opening.skeleton)
    try:
        xy, score = read_keypoints(rows, skeleton, len(rows))
    except InvalidInput as error:
        raise _relocated(error) from error
    people = KeypointSequence(
        xy.astype(np.float32), score.astype(np.float32), opening.size, opening.fps, skeleton
    ).to_h36m17()
    if len(rows) == 1:
        return [people]
    return [
        replace(people, xy=xy[None], confidence=score[None])
        for xy, score in zip(people.xy, people.confidence, strict=True)
    ]


def _relocated(error: InvalidInput) -> InvalidInput:
    """keypoints[1][5], of person 1 -> people[1].keypoints[5]."""
    keypoints, *rest = error.where
    where = ("people", *rest[:1], keypoints, *rest[1:])
    message = str(error).removeprefix(place(error.where))
    return type(error)(place(where) + message, where)


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > MAX_TEXT_BYTES:
        raise TooLarge(f"a text message may have {MAX_TEXT_BYTES} characters, got {len(text)}")
    return parse_object(text, "the message")


def _validated(model: type[Model], document: dict[str, Any]) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid_fields(error.errors()) from error


def ready_text(opening: Opening, lifter: Lifter) -> str:
    """The response to the opening."""
    lookahead = opening.provisional_after(lifter)
    delay_frames = lifter.delay_frames(opening.fps)
    return _text(
        {
            "type": "ready",
            "model": {"name": lifter.name, "version": lifter.version},
            "skeleton": lifter.skeleton.name,
            "delay_frames": delay_frames,
            "delay_s": delay_frames / opening.fps,
            "lookahead": lookahead,
            "applied": _applied(opening, lifter),
            "warnings": [*rate_warnings(lifter, opening.fps), *_missing(lifter)],
        }
    )


def _applied(opening: Opening, lifter: Lifter) -> dict[str, Any]:
    return {
        **applied(lifter, opening.options(), opening.fps, opening.size),
        "repair": "left/right swaps undone, from past frames alone" if opening.repair else False,
        "policy": opening.policy,
        "confidence_within_mm": None,
    }


def _missing(lifter: Lifter) -> list[str]:
    if lifter.has_dense:
        return []
    return [f"model {lifter.name} has no provisional poses; only final poses are sent"]


def poses_text(frame: FramePoses) -> str:
    people = [{"id": id, "pose": pose} for id, pose in frame.people.items()]
    document = {"frame": frame.frame, "final": frame.final, "people": people}
    return _text({**document, "skipped": list(frame.skipped)} if frame.skipped else document)


def error_text(error: PoseError) -> str:
    return _text({"error": problem(error)})


def _text(document: Mapping[str, Any]) -> str:
    return dump(document).decode()
