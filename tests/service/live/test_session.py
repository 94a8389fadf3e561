"""A live stream without its socket: every frame twice, in order, with all its people."""

from collections.abc import Iterable
from functools import partial
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import KeypointSequence, LiftStream, MotionOptions, MotionStream, carry_out, smooth
from networks import lifter
from service.live.session import Answer, LiveSession, PersonLifting
from synthetic import part, person

Presence = list[list[bool]]


def carried_out(session: LiveSession, liftings: Iterable[PersonLifting], model) -> list[Answer]:
    return session.answer([carry_out(lifting, model.run_pass) for lifting in liftings])


def streamed(session: LiveSession, people: list[KeypointSequence], here: Presence, model):
    """All answers to people of whom only some are in each frame."""
    answers: list[Answer] = []
    for frame, present in enumerate(here):
        now = slice(frame, frame + 1)
        seen = {f"p{k}": part(people[k], now) for k, is_here in enumerate(present) if is_here}
        answers += carried_out(session, session.push(range(frame, frame + 1), seen), model)
    return answers + carried_out(session, session.flush(), model)


def runs(here: Presence, k: int) -> list[slice]:
    """The unbroken runs of frames in which person k is there."""
    frames = [t for t, present in enumerate(here) if present[k]]
    groups = groupby(enumerate(frames), lambda pair: pair[1] - pair[0])
    found = [[frame for _, frame in group] for _, group in groups]
    return [slice(run[0], run[-1] + 1) for run in found]


@settings(max_examples=40)
@given(
    frames=st.sampled_from([1, 3, 9]),
    here=st.integers(1, 3).flatmap(
        lambda people: st.lists(
            st.lists(st.booleans(), min_size=people, max_size=people), min_size=1, max_size=30
        )
    ),
    lookahead=st.none() | st.integers(0, 4),
)
def test_finals_are_offline_and_both_answers_in_order(
    frames: int, here: Presence, lookahead: int | None
) -> None:
    model = lifter(frames)
    if lookahead is not None:
        lookahead = min(lookahead, model.window.future)
    people = [person(len(here), seed) for seed in range(len(here[0]))]
    session = LiveSession(
        partial(LiftStream, model, None, lookahead), provisional=lookahead is not None
    )
    answers = streamed(session, people, here, model)
    final = [answer for answer in answers if answer.final]
    early = [answer for answer in answers if not answer.final]
    everything = list(range(len(here)))
    assert [answer.frame for answer in final] == everything
    assert [answer.frame for answer in early] == ([] if lookahead is None else everything)
    for answer in answers:
        expected = {f"p{k}" for k, is_here in enumerate(here[answer.frame]) if is_here}
        assert answer.people.keys() == expected
        assert not answer.skipped
    for k, whole in enumerate(people):
        for run in runs(here, k):
            found = [answer.people[f"p{k}"] for answer in final[run]]
            np.testing.assert_allclose(found, model.lift(part(whole, run)).xyz, atol=1e-5)


def test_early_answers_come_with_their_frame_and_finals_a_window_later() -> None:
    model, whole = lifter(9), person(12)
    session = LiveSession(partial(LiftStream, model, None, 0), provisional=True)
    for frame in range(12):
        pushed = session.push(range(frame, frame + 1), {1: part(whole, slice(frame, frame + 1))})
        answers = carried_out(session, pushed, model)
        expected = [(frame, False)] + [(frame - 4, True)] * (frame >= 4)
        assert [(answer.frame, answer.final) for answer in answers] == expected


def test_who_leaves_is_final_at_once() -> None:
    model, whole = lifter(9), person(3)
    session = LiveSession(partial(LiftStream, model), provisional=False)
    for frame in range(3):
        pushed = session.push(range(frame, frame + 1), {1: part(whole, slice(frame, frame + 1))})
        assert carried_out(session, pushed, model) == []
    answers = carried_out(session, session.push(range(3, 4), {}), model)
    assert [(answer.frame, list(answer.people)) for answer in answers] == [
        (0, [1]),
        (1, [1]),
        (2, [1]),
        (3, []),
    ]


def test_a_block_of_frames_names_those_that_were_skipped() -> None:
    model, whole = lifter(3), person(6)
    session = LiveSession(partial(LiftStream, model), provisional=False)
    answers = carried_out(session, session.push(range(1), {1: part(whole, slice(0, 1))}), model)
    block = {1: part(whole, slice(1, 5)), 2: part(whole, slice(4, 5))}
    answers += carried_out(session, session.push(range(1, 5), block), model)
    answers += carried_out(session, session.push(range(5, 6), {}), model)
    assert [answer.frame for answer in answers] == list(range(6))
    assert [list(answer.people) for answer in answers] == [[1], [1], [1], [1], [1, 2], []]
    assert [list(answer.skipped) for answer in answers] == [[], [], [], [], [1, 2, 3], []]
    found = [answer.people[1] for answer in answers[:5]]
    np.testing.assert_allclose(found, model.lift(part(whole, slice(0, 5))).xyz, atol=1e-5)


def test_who_is_not_in_the_whole_block_begins_anew() -> None:
    model, whole = lifter(3), person(6)
    session = LiveSession(partial(LiftStream, model), provisional=False)
    answers = []
    for frames, rows in ((range(2), slice(0, 2)), (range(2, 6), slice(4, 6))):
        pushed = session.push(frames, {1: part(whole, rows)})
        answers += carried_out(session, pushed, model)
    answers += carried_out(session, session.flush(), model)
    assert [list(answer.people) for answer in answers] == [[1], [1], [], [], [1], [1]]
    for run in (slice(0, 2), slice(4, 6)):
        found = [answer.people[1] for answer in answers[run]]
        np.testing.assert_allclose(found, model.lift(part(whole, run)).xyz, atol=1e-5)


@pytest.mark.parametrize("here", [[True] * 12, [True] * 5 + [False] + [True] * 6])
def test_smoothing_begins_anew_with_the_person(here: list[bool]) -> None:
    model, whole = lifter(9), person(12)
    session = LiveSession(
        partial(MotionStream, model, MotionOptions(smoothing="one_euro"), 0, fps=whole.fps),
        provisional=True,
    )
    answers = streamed(session, [whole], [[one] for one in here], model)
    final = [answer for answer in answers if answer.final]
    for run in runs([[one] for one in here], 0):
        offline = smooth(model.lift(part(whole, run)), "one_euro")
        found = [answer.people["p0"] for answer in final[run]]
        np.testing.assert_allclose(found, offline.xyz, atol=1e-5)
