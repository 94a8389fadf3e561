"""Streamed equals offline: any window, length, chunking and joint set; with every option."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import (
    COCO17,
    H36M17,
    InvalidInput,
    KeypointSequence,
    Lifter,
    LiftOptions,
    LiftStream,
    Poses,
    StreamAnswers,
    carry_out,
)
from networks import lifter
from synthetic import part, person


def stream_through(
    stream: LiftStream, whole: KeypointSequence, cuts: list[int], model: Lifter
) -> StreamAnswers:
    """All answers, in the order in which they came."""
    edges = sorted({0, len(whole), *cuts})
    answers = [
        carry_out(stream.push(part(whole, slice(low, high))), model.run_pass)
        for low, high in pairwise(edges)
    ]
    answers.append(carry_out(stream.flush(), model.run_pass))
    final, early = zip(*answers, strict=True)
    return StreamAnswers(_joined(final), _joined(early))


def _joined(parts: tuple[Poses, ...]) -> Poses:
    frames = [frame for p in parts for frame in p.frames]
    assert frames == list(range(len(frames)))
    return Poses(range(len(frames)), np.concatenate([p.xyz for p in parts]))


@settings(max_examples=30)
@given(
    frames=st.sampled_from([1, 3, 9, 27]),
    count=st.integers(1, 45),
    cuts=st.lists(st.integers(1, 44), max_size=8),
    flip=st.booleans(),
    lookahead=st.none() | st.integers(0, 13),
    skeleton=st.sampled_from([H36M17, COCO17]),
)
def test_streamed_is_offline(
    frames: int,
    count: int,
    cuts: list[int],
    flip: bool,
    lookahead: int | None,
    skeleton,
) -> None:
    model, whole = lifter(frames), person(count, count, skeleton)
    options = LiftOptions(flip=flip, focal_px=1500.0, height_m=1.9)
    if lookahead is not None:
        lookahead = min(lookahead, model.window.future)
    stream = LiftStream(model, options, lookahead)
    for _ in range(2):  # after a flush it is as new
        found = stream_through(stream, whole, [c for c in cuts if c < count], model)
        assert found.final.frames == range(count)
        np.testing.assert_allclose(found.final.xyz, model.lift(whole, options).xyz, atol=1e-5)
        assert found.early.frames == range(0 if lookahead is None else count)


@pytest.mark.parametrize("lookahead", [0, 1, 4])
def test_early_answers_are_the_dense_readout_of_what_is_known(lookahead: int) -> None:
    model, whole = lifter(9), person(20)
    found = stream_through(LiftStream(model, lookahead=lookahead), whole, [3, 4, 11], model)
    prepared = model.prepare(whole)
    for frame, xyz in zip(found.early.frames, found.early.xyz, strict=True):
        end = frame + lookahead
        window = prepared.inputs[np.clip(np.arange(end - 8, end + 1), 0, 19)]
        dense = model.run(window[None]).dense
        rotation = prepared.rotation[frame : frame + 1]
        expected = model.finish(dense[:, 8 - lookahead], rotation, None)[0]
        np.testing.assert_allclose(xyz, expected, atol=1e-5)


def test_an_early_answer_comes_with_its_frame() -> None:
    model, whole = lifter(9), person(6)
    stream = LiftStream(model, lookahead=0)
    for frame in range(6):
        found = carry_out(stream.push(part(whole, slice(frame, frame + 1))), model.run_pass)
        assert list(found.early.frames) == [frame]
        assert list(found.final.frames) == ([frame - 4] if frame >= 4 else [])


def test_two_interleaved_streams_are_each_alone() -> None:
    model = lifter(9)
    people = [person(15, seed) for seed in (1, 2)]
    streams = [LiftStream(model) for _ in people]
    found: list[list[np.ndarray]] = [[], []]
    for frame in range(15):
        for k, whole in enumerate(people):
            push = streams[k].push(part(whole, slice(frame, frame + 1)))
            found[k].append(carry_out(push, model.run_pass).final.xyz)
    for k, whole in enumerate(people):
        rest = carry_out(streams[k].flush(), model.run_pass).final.xyz
        together = np.concatenate([*found[k], rest])
        np.testing.assert_allclose(together, model.lift(whole).xyz, atol=1e-5)


def test_each_frame_is_encoded_once() -> None:
    model, encoded = lifter(27), 0

    def run(wanted):
        nonlocal encoded
        encoded += len(wanted.inputs) if hasattr(wanted, "inputs") else 0
        return model.run_pass(wanted)

    stream, whole = LiftStream(model, lookahead=0), person(40)
    for frame in range(40):
        carry_out(stream.push(part(whole, slice(frame, frame + 1))), run)
    carry_out(stream.flush(), run)
    assert encoded == 40


def test_a_published_model_streams_final_answers() -> None:
    model, whole = lifter(9, "image"), person(14)
    found = stream_through(LiftStream(model), whole, [1, 7], model)
    np.testing.assert_allclose(found.final.xyz, model.lift(whole).xyz, atol=1e-5)
    with pytest.raises(InvalidInput, match="provisional"):
        LiftStream(model, lookahead=0)


def test_nothing_pushed_nothing_owed() -> None:
    model = lifter(9)
    found = carry_out(LiftStream(model).flush(), model.run_pass)
    assert len(found.final.frames) == len(found.early.frames) == 0


@pytest.mark.parametrize("lookahead", [-1, 5])
def test_a_lookahead_beyond_the_window(lookahead: int) -> None:
    with pytest.raises(InvalidInput, match="lookahead must be between 0 and 4"):
        LiftStream(lifter(9), lookahead=lookahead, fps=30)


def test_a_stream_has_no_dense_readout() -> None:
    with pytest.raises(InvalidInput, match="centre"):
        LiftStream(lifter(9), LiftOptions(readout="dense"))
