"""LiveSession: every frame twice, in order, with all its people."""

from collections.abc import Iterable
from functools import partial
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import KeypointSequence, LiftStream, MotionOptions, MotionStream, carry_out, smooth
from networks import lifter
from service.live.session import FramePoses, LiveSession, PersonTask
from synthetic import part, person

Presence = list[list[bool]]


def run(session: LiveSession, tasks: Iterable[PersonTask], model) -> list[FramePoses]:
    return session.complete([carry_out(task, model.run_pass) for task in tasks])


def streamed(session: LiveSession, people: list[KeypointSequence], here: Presence, model):
    """All frames returned for people who are present as `here` says, by frame and person."""
    returned: list[FramePoses] = []
    for frame, present in enumerate(here):
        now = slice(frame, frame + 1)
        seen = {f"p{k}": part(people[k], now) for k, is_here in enumerate(present) if is_here}
        returned += run(session, session.push(range(frame, frame + 1), seen), model)
    return returned + run(session, session.flush(), model)


def runs(here: Presence, k: int) -> list[slice]:
    """The runs of consecutive frames in which person k is present."""
    frames = [t for t, present in enumerate(here) if present[k]]
    groups = groupby(enumerate(frames), lambda pair: pair[1] - pair[0])
    frames_of = [[frame for _, frame in group] for _, group in groups]
    return [slice(frames[0], frames[-1] + 1) for frames in frames_of]


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
def test_final_poses_equal_lift_and_frames_are_in_order(
    frames: int, here: Presence, lookahead: int | None
) -> None:
    model = lifter(frames)
    if lookahead is not None:
        lookahead = min(lookahead, model.window.future)
    people = [person(len(here), seed) for seed in range(len(here[0]))]
    session = LiveSession(
        partial(LiftStream, model, None, lookahead), provisional=lookahead is not None
    )
    returned = streamed(session, people, here, model)
    final = [poses for poses in returned if poses.final]
    provisional = [poses for poses in returned if not poses.final]
    everything = list(range(len(here)))
    assert [poses.frame for poses in final] == everything
    assert [poses.frame for poses in provisional] == ([] if lookahead is None else everything)
    for poses in returned:
        expected = {f"p{k}" for k, is_here in enumerate(here[poses.frame]) if is_here}
        assert poses.people.keys() == expected
        assert not poses.skipped
    for k, whole in enumerate(people):
        for rows in runs(here, k):
            xyz = [poses.people[f"p{k}"] for poses in final[rows]]
            np.testing.assert_allclose(xyz, model.lift(part(whole, rows)).xyz, atol=1e-5)


def test_provisional_poses_come_with_their_frame_and_final_ones_later() -> None:
    model, whole = lifter(9), person(12)
    session = LiveSession(partial(LiftStream, model, None, 0), provisional=True)
    for frame in range(12):
        pushed = session.push(range(frame, frame + 1), {1: part(whole, slice(frame, frame + 1))})
        returned = run(session, pushed, model)
        expected = [(frame, False)] + [(frame - 4, True)] * (frame >= 4)
        assert [(poses.frame, poses.final) for poses in returned] == expected


def test_person_who_leaves_gets_final_poses_at_once() -> None:
    model, whole = lifter(9), person(3)
    session = LiveSession(partial(LiftStream, model), provisional=False)
    for frame in range(3):
        pushed = session.push(range(frame, frame + 1), {1: part(whole, slice(frame, frame + 1))})
        assert run(session, pushed, model) == []
    returned = run(session, session.push(range(3, 4), {}), model)
    assert [(poses.frame, list(poses.people)) for poses in returned] == [
        (0, [1]),
        (1, [1]),
        (2, [1]),
        (3, []),
    ]


def test_skipped_frames_are_named_by_the_next_frame() -> None:
    model, whole = lifter(3), person(6)
    session = LiveSession(partial(LiftStream, model), provisional=False)
    returned = run(session, session.push(range(1), {1: part(whole, slice(0, 1))}), model)
    block = {1: part(whole, slice(1, 5)), 2: part(whole, slice(4, 5))}
    returned += run(session, session.push(range(1, 5), block), model)
    returned += run(session, session.push(range(5, 6), {}), model)
    assert [poses.frame for poses in returned] == list(range(6))
    assert [list(poses.people) for poses in returned] == [[1], [1], [1], [1], [1, 2], []]
    assert [list(poses.skipped) for poses in returned] == [[], [], [], [], [1, 2, 3], []]
    xyz = [poses.people[1] for poses in returned[:5]]
    np.testing.assert_allclose(xyz, model.lift(part(whole, slice(0, 5))).xyz, atol=1e-5)


def test_person_missing_in_part_of_a_block_starts_anew() -> None:
    model, whole = lifter(3), person(6)
    session = LiveSession(partial(LiftStream, model), provisional=False)
    returned = []
    for frames, chunk in ((range(2), slice(0, 2)), (range(2, 6), slice(4, 6))):
        pushed = session.push(frames, {1: part(whole, chunk)})
        returned += run(session, pushed, model)
    returned += run(session, session.flush(), model)
    assert [list(poses.people) for poses in returned] == [[1], [1], [], [], [1], [1]]
    for rows in (slice(0, 2), slice(4, 6)):
        xyz = [poses.people[1] for poses in returned[rows]]
        np.testing.assert_allclose(xyz, model.lift(part(whole, rows)).xyz, atol=1e-5)


@pytest.mark.parametrize("here", [[True] * 12, [True] * 5 + [False] + [True] * 6])
def test_smoothing_starts_anew_with_the_person(here: list[bool]) -> None:
    model, whole = lifter(9), person(12)
    session = LiveSession(
        partial(MotionStream, model, MotionOptions(smoothing="one_euro"), 0, fps=whole.fps),
        provisional=True,
    )
    returned = streamed(session, [whole], [[present] for present in here], model)
    final = [poses for poses in returned if poses.final]
    for rows in runs([[present] for present in here], 0):
        offline = smooth(model.lift(part(whole, rows)), "one_euro")
        xyz = [poses.people["p0"] for poses in final[rows]]
        np.testing.assert_allclose(xyz, offline.xyz, atol=1e-5)
