"""What goes over WS /stream: JSON, and pictures as they are."""

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
from service.live.session import Answer, PersonId
from service.settings import Settings
from service.wire.documents import dump, parse_object
from service.wire.fields import STRICT, Count, Finite, Side, options_model
from service.wire.keypoints import read_keypoints
from service.wire.problems import problem

MAX_TEXT_BYTES = 1_000_000
"""A text message is parsed between others' messages, so it may not take long."""
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

    def options(self) -> MotionOptions:
        return MotionOptions(**self.model_dump(include=set(_Options.model_fields)))

    def provisional_after(self, lifter: Lifter) -> int | None:
        """After how many frames provisional poses are sent: at once by default, where the model has
        them; None for final poses alone."""
        if "lookahead" in self.model_fields_set:
            return self.lookahead
        return 0 if lifter.has_dense else None


def _person_id(value: object) -> PersonId:
    if type(value) is int and abs(value) <= MAX_ID:
        return value
    if type(value) is str and 1 <= len(value) <= MAX_ID_LENGTH:
        return value
    raise ValueError("an id is a whole number, or a string of 1 to 64 characters")


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
    """The client has sent all it has."""


@dataclass(frozen=True)
class People:
    """The people of one frame, each with one frame of H36M-17 keypoints."""

    frame: int
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
            f"max_people lies in 1..{most_people} here, got {opening.max_people}", ("max_people",)
        )
    return opening


def read_message(text: str, opening: Opening, most_people: int) -> People | End:
    """A message after the first; raises NotJson, TooLarge and InvalidInput, with the place."""
    document = _parsed(text)
    if _ends(document):
        return End()
    found = _validated(_Frame, document)
    if len(found.people) > most_people:
        raise TooLarge(
            f"at most {most_people} people a frame, got {len(found.people)}", ("people",)
        )
    ids = [person.id for person in found.people]
    for row, id in enumerate(ids):
        if id in ids[:row]:
            raise InvalidInput(f"the id {id!r} stands twice in a frame", ("people", row, "id"))
    keypoints = _keypoints([person.keypoints for person in found.people], opening)
    return People(found.frame, dict(zip(ids, keypoints, strict=True)))


def is_end(text: str) -> bool:
    """Whether a message ends the stream; raises as read_message."""
    return _ends(_parsed(text))


def _ends(document: dict[str, Any]) -> bool:
    if "end" not in document:
        return False
    if not _validated(_End, document).end:
        raise InvalidInput("end is true, or is not sent", ("end",))
    return True


def _keypoints(rows: list[Any], opening: Opening) -> list[KeypointSequence]:
    """Everybody's keypoints at once, which costs little more than one person's."""
    if opening.skeleton is None or opening.image_size is None:
        missing = "skeleton" if opening.skeleton is None else "image_size"
        raise InvalidInput(f"keypoints need {missing} in the first message", (missing,))
    if not rows:
        return []
    skeleton = skeleton_named(opening.skeleton)
    try:
        xy, score = read_keypoints(rows, skeleton, len(rows))
    except InvalidInput as error:
        raise _placed(error) from error
    width, height = opening.image_size
    everybody = KeypointSequence(
        xy.astype(np.float32), score.astype(np.float32), (width, height), opening.fps, skeleton
    ).to_h36m17()
    if len(rows) == 1:
        return [everybody]
    return [
        replace(everybody, xy=xy[None], confidence=score[None])
        for xy, score in zip(everybody.xy, everybody.confidence, strict=True)
    ]


def _placed(error: InvalidInput) -> InvalidInput:
    """keypoints[1][5], of person 1 -> people[1].keypoints[5]."""
    keypoints, *rest = error.where
    where = ("people", *rest[:1], keypoints, *rest[1:])
    message = str(error).removeprefix(place(error.where))
    return type(error)(place(where) + message, where)


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > MAX_TEXT_BYTES:
        raise TooLarge(f"a text message has at most {MAX_TEXT_BYTES} characters, got {len(text)}")
    return parse_object(text, "the message")


def _validated(model: type[Model], document: dict[str, Any]) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid_fields(error.errors()) from error


def ready_text(opening: Opening, lifter: Lifter) -> str:
    """What the client may rely on from now on."""
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
    size = None if opening.image_size is None else (opening.image_size[0], opening.image_size[1])
    return {
        **applied(lifter, opening.options(), opening.fps, size),
        "repair": "left/right swaps undone, from past frames alone" if opening.repair else False,
        "policy": opening.policy,
        "confidence_within_mm": None,
    }


def _missing(lifter: Lifter) -> list[str]:
    if lifter.has_dense:
        return []
    return [f"model {lifter.name} gives no early answers: every frame has its final one alone"]


def answer_text(answer: Answer) -> str:
    people = [{"id": id, "pose": pose} for id, pose in answer.people.items()]
    document = {"frame": answer.frame, "final": answer.final, "people": people}
    return _text({**document, "skipped": list(answer.skipped)} if answer.skipped else document)


def error_text(error: PoseError) -> str:
    return _text({"error": problem(error)})


def _text(document: Mapping[str, Any]) -> str:
    return dump(document).decode()
