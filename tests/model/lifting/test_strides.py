"""High frame rates: every k-th frame is lifted, the poses between are interpolated."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import (
    H36M17,
    InvalidInput,
    KeypointSequence,
    Lifter,
    LiftOptions,
    LiftStream,
    Poses,
    carry_out,
)
from networks import lifter as tiny
from synthetic import part, person


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


def walk(frames: int, fps: float) -> KeypointSequence:
    """A random figure that drifts and swings, unseen for ten frames."""
    rng = np.random.default_rng(3)
    time = np.arange(frames)[:, None, None]
    xy = rng.uniform(200, 800, (1, 17, 2)) + 30 * np.sin(time / 9 + rng.uniform(0, 6, (1, 17, 2)))
    confidence = rng.uniform(0.2, 1, (frames, 17))
    confidence[20:30] = 0
    return KeypointSequence(xy + time / 10, confidence, (1000, 1000), fps, H36M17)


@pytest.mark.parametrize(("fps", "stride"), [(66, 1), (67, 2), (120, 2), (240, 4), (1000, 16)])
@pytest.mark.parametrize("frames", [1, 2, 30])
@pytest.mark.parametrize("readout", ["centre", "dense"])
def test_lift_equals_every_kth_frame_interpolated_by_numpy(
    lifter: Lifter, fps: float, stride: int, frames: int, readout: str
) -> None:
    sequence, options = walk(frames, fps), LiftOptions(readout)
    poses = lifter.lift(sequence, options)
    rows = np.unique([*range(0, frames, stride), frames - 1])
    lifted = lifter.lift(replace(sequence.pick(rows), fps=fps / stride), options).xyz
    columns = lifted.reshape(len(rows), -1).T
    expected = [np.interp(np.arange(frames), rows, column) for column in columns]
    np.testing.assert_allclose(poses.xyz.reshape(frames, -1).T, expected, atol=1e-6)
    assert (len(poses), poses.fps) == (frames, fps)


@settings(max_examples=40)
@given(
    fps=st.sampled_from([60.0, 100.0, 120.0, 240.0, 250.0]),
    count=st.integers(1, 60),
    cuts=st.lists(st.integers(1, 59), max_size=12),
    flip=st.booleans(),
    lookahead=st.none() | st.integers(0, 16),
)
def test_stream_equals_lift_at_any_rate_and_chunking(
    fps: float, count: int, cuts: list[int], flip: bool, lookahead: int | None
) -> None:
    model, whole = tiny(9), replace(person(count, count), fps=fps)
    options, stride = LiftOptions(flip=flip), model.info.stride(fps)
    if lookahead is not None:
        lookahead = min(lookahead, model.window.future * stride)
    stream = LiftStream(model, options, lookahead)
    for _ in range(2):  # after a flush the stream starts anew
        final, provisional = streamed(stream, whole, [c for c in cuts if c < count], model)
        assert final.frames == range(count)
        np.testing.assert_allclose(final.xyz, model.lift(whole, options).xyz, atol=1e-5)
        assert provisional.frames == range(0 if lookahead is None else count)


def test_provisional_poses_equal_those_of_streams_of_every_kth_frame() -> None:
    model, whole = tiny(9), replace(person(30), fps=240.0)
    _, provisional = streamed(LiftStream(model, lookahead=0), whole, [5, 6, 13], model)
    for phase in range(4):
        rows = np.arange(phase, 30, 4)
        alone = replace(whole.pick(rows), fps=60.0)
        _, expected = streamed(LiftStream(model, lookahead=0), alone, [], model)
        np.testing.assert_allclose(provisional.xyz[rows], expected.xyz, atol=1e-5)


@pytest.mark.parametrize(("fps", "delay"), [(30, 4), (120, 9), (240, 19)])
def test_final_poses_arrive_within_the_stated_delay(fps: float, delay: int) -> None:
    model, whole = tiny(9), replace(person(60), fps=float(fps))
    assert model.delay_frames(fps) == delay
    stream, known, waits = LiftStream(model, lookahead=0), 0, []
    for frame in range(60):
        poses = carry_out(stream.push(part(whole, slice(frame, frame + 1))), model.run_pass)
        assert list(poses.early.frames) == [frame]
        known += len(poses.final.frames)
        waits.append(frame + 1 - known)
    assert max(waits) == delay


def test_lookahead_beyond_the_delay_is_rejected() -> None:
    model = tiny(9)
    LiftStream(model, lookahead=16, fps=240)
    with pytest.raises(InvalidInput, match="between 0 and 16, got 17"):
        LiftStream(model, lookahead=17, fps=240)


def streamed(
    stream: LiftStream, whole: KeypointSequence, cuts: list[int], model: Lifter
) -> tuple[Poses, Poses]:
    """All final and all provisional poses of the stream, pushed in chunks cut at `cuts`."""
    edges = sorted({0, len(whole), *cuts})
    parts = [part(whole, slice(*edge)) for edge in pairwise(edges)]
    tasks = [*map(stream.push, parts), stream.flush()]
    answers = [carry_out(task, model.run_pass) for task in tasks]
    return tuple(_joined(list(poses)) for poses in zip(*answers, strict=True))


def _joined(parts: list[Poses]) -> Poses:
    frames = [frame for poses in parts for frame in poses.frames]
    assert frames == list(range(len(frames)))
    return Poses(range(len(frames)), np.concatenate([poses.xyz for poses in parts]))
