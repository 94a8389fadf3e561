"""What detecting every n-th frame only costs against the truth: MPJPE on recordings, with simulated
detections of which every n-th frame's and the last are kept.

    .venv/bin/python benchmarks/detect_every_truth.py RECORDINGS.npz
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from model import KeypointSequence, Lifter, model_named, weights_folder
from model.tracking.tracks import fill
from model.training.evaluation.errors import Clip, clips, evaluate
from model.training.recordings import load_recordings
from model.training.simulation.simulate import evaluation_conditions

STEPS = (1, 2, 3, 5, 8)
FPS = (30.0, 50.0)
TAKEN = 3
"""One clip in so many, for the sake of time; all of them are `poselift evaluate`'s."""


def main(recordings: Path) -> None:
    lifter = Lifter.load(model_named("poseformer-27", weights_folder()))
    own = load_recordings([recordings]).kind(own=True)
    simulation = evaluation_conditions()["simulated detections"]
    print("| frames/s | n | MPJPE mm | P-MPJPE mm |\n|---|---|---|---|")
    for fps in FPS:
        filmed = list(clips(own, simulation, fps=fps))[::TAKEN]
        for every in STEPS:
            mean = evaluate(lifter, thinned(filmed, every)).mean
            print(
                f"| {fps:g} | {every} | {mean['mpjpe']:.1f} | {mean['p_mpjpe']:.1f} |", flush=True
            )


def thinned(filmed: Sequence[Clip], every: int) -> Iterator[Clip]:
    for clip in filmed:
        yield replace(clip, keypoints=_thinned(clip.keypoints, every))


def _thinned(keypoints: KeypointSequence, every: int) -> KeypointSequence:
    frames = np.arange(len(keypoints))
    looks = np.unique([*frames[::every], frames[-1]])
    rows = fill(frames, looks, keypoints.rows[looks], frames / keypoints.fps, every)
    return replace(keypoints, xy=rows[..., :2], confidence=rows[..., 2])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
