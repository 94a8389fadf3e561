"""MPJPE of detecting every n-th frame: recordings with simulated detections, of which those of
every n-th frame and of the last frame are used.

    .venv/bin/python benchmarks/detect_every_truth.py RECORDINGS.npz
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from model import KeypointSequence, Lifter, model_named, weights_folder
from model.tracking.tracks import fill
from model.training.evaluation.errors import Clip, evaluate, simulated_clips
from model.training.recordings import load_recordings
from model.training.simulation.windows import evaluation_conditions

STEPS = (1, 2, 3, 5, 8)
FPS = (30.0, 50.0)
EVERY_CLIP = 3
"""Use every third clip, to save time; `poselift evaluate` uses all."""


def main(recordings: Path) -> None:
    lifter = Lifter.load(model_named("poseformer-27", weights_folder()))
    own = load_recordings([recordings]).kind(own=True)
    simulation = evaluation_conditions()["simulated detections"]
    print("| frames/s | n | MPJPE mm | P-MPJPE mm |\n|---|---|---|---|")
    for fps in FPS:
        clips = list(simulated_clips(own, simulation, fps=fps))[::EVERY_CLIP]
        for every in STEPS:
            mean = evaluate(lifter, thinned(clips, every)).mean
            print(
                f"| {fps:g} | {every} | {mean['mpjpe']:.1f} | {mean['p_mpjpe']:.1f} |", flush=True
            )


def thinned(clips: Sequence[Clip], every: int) -> Iterator[Clip]:
    for clip in clips:
        yield replace(clip, keypoints=_thinned(clip.keypoints, every))


def _thinned(keypoints: KeypointSequence, every: int) -> KeypointSequence:
    frames = np.arange(len(keypoints))
    detected = np.unique([*frames[::every], frames[-1]])
    rows = fill(frames, detected, keypoints.rows[detected], frames / keypoints.fps, every)
    return replace(keypoints, xy=rows[..., :2], confidence=rows[..., 2])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
