"""The lines about lifting: whole videos, streams, the temporal half, and batching."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial

import numpy as np

from model import (
    H36M17,
    TOKENS_A_PASS,
    Decode,
    KeypointSequence,
    Lifter,
    LiftOptions,
    LiftStream,
    carry_out,
    model_named,
)
from service.bench.networks import Float32, Network, Run, Trial, split_frames, walk, whole_graph
from service.bench.report import Line
from service.bench.timing import (
    Timings,
    Way,
    interleave,
    interleave_reopened,
    peak_flops,
    temporal_flop,
)
from service.lifting.batcher import Batcher
from service.settings import read_settings
from service.telemetry import Telemetry

FLIP, DENSE = LiftOptions(flip=True), LiftOptions(readout="dense")
CENTRE_TARGETS = {81: 2.5, 27: 2.5, 9: 2.0}
"""The centre readout, times faster than the paper's way."""
STREAM_FRAMES = 30
"""New frames of a stream in one round."""
STREAM_OPENINGS = 8
PASSES = 10
"""Passes of the temporal half in one round."""
BATCHED_FRAMES = 10
"""New frames of each batched stream in one round."""
BATCHING_TARGETS = {9: 0.6, 27: 0.85}


def shipped(trial: Trial) -> Iterator[Line]:
    """The default model, compared with its own whole ONNX graph."""
    settings = read_settings()
    path = model_named(settings.default_model, settings.weights)
    lifter, sequence = Lifter.load(path), walk(trial.frames)
    whole = whole_graph(path)
    ways: dict[str, Way] = {
        "whole": lambda: _in_passes(whole, _windows(lifter, sequence)),
        "centre": lambda: lifter.lift(sequence),
        "flip": lambda: lifter.lift(sequence, FLIP),
        "dense": lambda: lifter.lift(sequence, DENSE),
    }
    timings = interleave(ways, trial.rounds)
    for way in ("centre", "flip", "dense"):
        what = f"{lifter.name}, {way}, against its whole ONNX graph"
        yield _faster(what, timings, trial.frames, way, "whole")


def whole_video(trial: Trial) -> Iterator[Line]:
    """A whole video, in the ways that give every frame a pose."""
    for network in trial.networks():
        lifter, whole = network.open()
        f, timings = lifter.frames, interleave(_ways(trial, network, lifter, whole), trial.rounds)
        paper, convolution = (40.0, 1.0) if f == 81 else (None, None)
        for what, way, than, target in (
            ("video, against the paper's way", "centre", "paper", CENTRE_TARGETS.get(f)),
            ("video, against eager torch by 32", "centre", "by 32", None),
            ("video, against the whole ONNX graph", "centre", "whole", 1.2),
            ("dense, against the paper's way", "dense", "paper", paper),
            ("dense, against the convolution", "dense", "convolution", convolution),
        ):
            yield _faster(f"f={f}: {what}", timings, trial.frames, way, than, target)


def _ways(trial: Trial, network: Network, lifter: Lifter, whole: Run) -> Mapping[str, Way]:
    sequence = walk(trial.frames)
    return {
        "paper": lambda: network.torch.run(_windows(lifter, sequence)),
        "by 32": lambda: network.torch.run(_windows(lifter, sequence), 32),
        "whole": lambda: _in_passes(whole, _windows(lifter, sequence)),
        "centre": lambda: lifter.lift(sequence),
        "dense": lambda: lifter.lift(sequence, DENSE),
        "convolution": lambda: trial.torch.convolve(sequence.xy),
    }


def _windows(lifter: Lifter, sequence: KeypointSequence) -> Float32:
    return lifter.window.over(lifter.prepare(sequence).inputs)


def _in_passes(whole: Run, windows: Float32) -> None:
    """Every window through the whole network, in calls of the size of our passes."""
    step = max(1, TOKENS_A_PASS // windows.shape[1])
    for start in range(0, len(windows), step):
        whole(windows[start : start + step])


def _faster(
    what: str, timings: Timings, frames: int, way: str, than: str, target: float | None = None
) -> Line:
    ours, theirs = (frames / timings.median_s(name) for name in (way, than))
    detail = f"{ours:.0f} frames/s, {theirs:.0f}"
    return Line(what, timings.cost(than, of=way), target, detail=detail)


def stream(trial: Trial) -> Iterator[Line]:
    """The cost of a new frame of a live stream."""
    for network in trial.networks():
        timings = interleave_reopened(partial(_live_ways, network), STREAM_OPENINGS, trial.rounds)
        for peer, name, most in (
            ("whole", "the whole ONNX graph", 0.85),
            ("torch", "the whole torch graph (MMPose's live way)", 0.6),
        ):
            ours, theirs = (timings.median_s(w) / STREAM_FRAMES * 1e3 for w in ("ours", peer))
            yield Line(
                f"f={network.frames}: a stream's new frame, of the cost of {name}",
                timings.cost("ours", of=peer),
                most,
                at_most=True,
                detail=f"{ours:.2f} ms, {theirs:.2f}",
            )


def _live_ways(network: Network, opening: int) -> Mapping[str, Way]:
    """Ours computes a provisional and a final pose for each frame; the others run the centre of a
    window that is all new."""
    lifter, whole = network.open(ours_last=opening % 2 == 1)
    frames = split_frames(walk(STREAM_FRAMES))
    ours = LiftStream(lifter, lookahead=0)
    return {
        "ours": lambda: [carry_out(ours.push(frame), lifter.run_pass) for frame in frames],
        "whole": lambda: _live(lifter, frames, whole),
        "torch": lambda: _live(lifter, frames, network.torch.run),
    }


def _live(lifter: Lifter, frames: list[KeypointSequence], run: Run) -> None:
    """Frame by frame, each with its whole window through the whole network."""
    windows, state = lifter.window.stream(), None
    for frame in frames:
        prepared = lifter.prepare(frame, None, state)
        state = prepared.state
        centre = run(windows.push(prepared.inputs))
        lifter.finish(centre[:, 0], prepared.rotation, None)


def peak(trial: Trial) -> Iterator[Line]:
    """The temporal half at its best batch, compared with matrix products of its shapes."""
    for network in trial.networks():
        lifter, _ = network.open()
        f, width = lifter.frames, int(lifter.info.shape["joint_width"]) * 17
        batch = max(1, TOKENS_A_PASS // f)
        frame = np.zeros((1, len(H36M17.joints), lifter.info.channels), np.float32)
        decode = Decode(np.tile(lifter.encode(frame), (batch, f, 1)))
        reached, best = peak_flops(
            partial(_repeat, lifter, decode),
            PASSES * batch * temporal_flop(f, width, int(lifter.info.shape["temporal_depth"])),
            rows=batch * f,
            width=width,
            rounds=trial.rounds,
        )
        yield Line(
            f"f={f}: the temporal half, of the peak of matrix products",
            reached / best,
            0.85 if f == 81 else None,
            detail=f"{reached / 1e9:.0f} GFLOP/s, {best / 1e9:.0f}",
        )


def _repeat(lifter: Lifter, decode: Decode) -> None:
    for _ in range(PASSES):
        lifter.run_pass(decode)


def batching(trial: Trial) -> Iterator[Line]:
    """Live streams that fill one model call with a frame each: batched, and alone."""
    for network in trial.networks():
        lifter, _ = network.open()
        streams = max(2, TOKENS_A_PASS // lifter.frames)
        timings = _batching_timings(lifter, streams, trial.rounds)
        frames = streams * BATCHED_FRAMES
        together, alone = (timings.median_s(w) / frames * 1e3 for w in ("together", "alone"))
        yield Line(
            f"f={lifter.frames}: a window among {streams} streams, of the cost of one alone",
            timings.cost("together", of="alone"),
            BATCHING_TARGETS.get(lifter.frames),
            at_most=True,
            detail=f"{together:.2f} ms, {alone:.2f}",
        )


def _batching_timings(lifter: Lifter, streams: int, rounds: int) -> Timings:
    sequences = (walk(BATCHED_FRAMES, seed) for seed in range(streams))
    ticks = list(zip(*map(split_frames, sequences), strict=True))
    ours, theirs = ([LiftStream(lifter, lookahead=0) for _ in range(streams)] for _ in range(2))
    batcher = Batcher(workers=1, tokens=TOKENS_A_PASS, max_tasks=streams, telemetry=Telemetry())

    async def together(tick: Sequence[KeypointSequence]) -> None:
        tasks = (stream.push(frame) for stream, frame in zip(ours, tick, strict=True))
        await asyncio.gather(*(batcher.submit(lifter, task, live=True) for task in tasks))

    def alone() -> None:
        for tick in ticks:
            for stream, frame in zip(theirs, tick, strict=True):
                carry_out(stream.push(frame), lifter.run_pass)

    with closing(batcher), asyncio.Runner() as loop:
        ways: dict[str, Way] = {
            "together": lambda: [loop.run(together(tick)) for tick in ticks],
            "alone": alone,
        }
        return interleave(ways, rounds)
