"""Streamed equals offline: any window, length, chunking, joint set and options."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import (
    COCO17,
    H36M17,
    Encode,
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
    """All poses of the stream, pushed in chunks cut at `cuts`."""
    edges = sorted({0, len(whole), *cuts})
    answers = [
        carry_out(stream.push(part(whole, slice(low, high))), model.run_pass)
        for low, high in pairwise(edges)
    ]
    answers.append(carry_out(stream.flush(), model.run_pass))
    return StreamAnswers(*map(_joined, zip(*answers, strict=True)))


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
def test_streamed_final_poses_equal_lift(
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
    for _ in range(2):  # after a flush the stream starts anew
        poses = stream_through(stream, whole, [c for c in cuts if c < count], model)
        assert poses.final.frames == range(count)
        np.testing.assert_allclose(poses.final.xyz, model.lift(whole, options).xyz, atol=1e-5)
        assert poses.early.frames == range(0 if lookahead is None else count)


@pytest.mark.parametrize("lookahead", [0, 1, 4])
def test_provisional_poses_are_the_dense_readout_of_the_frames_so_far(lookahead: int) -> None:
    model, whole = lifter(9), person(20)
    poses = stream_through(LiftStream(model, lookahead=lookahead), whole, [3, 4, 11], model)
    prepared = model.prepare(whole)
    for frame, xyz in zip(poses.early.frames, poses.early.xyz, strict=True):
        end = frame + lookahead
        window = prepared.inputs[np.clip(np.arange(end - 8, end + 1), 0, 19)]
        dense = model.run(window[None]).dense
        rotation = prepared.rotation[frame : frame + 1]
        expected = model.finish(dense[:, 8 - lookahead], rotation, None)[0]
        np.testing.assert_allclose(xyz, expected, atol=1e-5)


def test_provisional_pose_is_returned_with_its_frame() -> None:
    model, whole = lifter(9), person(6)
    stream = LiftStream(model, lookahead=0)
    for frame in range(6):
        poses = carry_out(stream.push(part(whole, slice(frame, frame + 1))), model.run_pass)
        assert list(poses.early.frames) == [frame]
        assert list(poses.final.frames) == ([frame - 4] if frame >= 4 else [])


def test_interleaved_streams_equal_separate_ones() -> None:
    model = lifter(9)
    people = [person(15, seed) for seed in (1, 2)]
    streams = [LiftStream(model) for _ in people]
    poses: list[list[np.ndarray]] = [[], []]
    for frame in range(15):
        for k, whole in enumerate(people):
            push = streams[k].push(part(whole, slice(frame, frame + 1)))
            poses[k].append(carry_out(push, model.run_pass).final.xyz)
    for k, whole in enumerate(people):
        rest = carry_out(streams[k].flush(), model.run_pass).final.xyz
        together = np.concatenate([*poses[k], rest])
        np.testing.assert_allclose(together, model.lift(whole).xyz, atol=1e-5)


def test_each_frame_is_encoded_once() -> None:
    model, encoded = lifter(27), 0

    def run(work):
        nonlocal encoded
        encoded += len(work.inputs) if isinstance(work, Encode) else 0
        return model.run_pass(work)

    stream, whole = LiftStream(model, lookahead=0), person(40)
    for frame in range(40):
        carry_out(stream.push(part(whole, slice(frame, frame + 1))), run)
    carry_out(stream.flush(), run)
    assert encoded == 40


def test_published_model_streams_final_poses_only() -> None:
    model, whole = lifter(9, "image"), person(14)
    poses = stream_through(LiftStream(model), whole, [1, 7], model)
    np.testing.assert_allclose(poses.final.xyz, model.lift(whole).xyz, atol=1e-5)
    with pytest.raises(InvalidInput, match="provisional"):
        LiftStream(model, lookahead=0)


def test_flush_without_frames_returns_no_poses() -> None:
    model = lifter(9)
    poses = carry_out(LiftStream(model).flush(), model.run_pass)
    assert len(poses.final.frames) == len(poses.early.frames) == 0


@pytest.mark.parametrize("lookahead", [-1, 5])
def test_lookahead_beyond_the_window_is_rejected(lookahead: int) -> None:
    with pytest.raises(InvalidInput, match="lookahead must be between 0 and 4"):
        LiftStream(lifter(9), lookahead=lookahead, fps=30)


def test_dense_readout_is_rejected_in_a_stream() -> None:
    with pytest.raises(InvalidInput, match="centre"):
        LiftStream(lifter(9), LiftOptions(readout="dense"))
