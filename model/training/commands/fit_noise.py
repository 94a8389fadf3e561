"""`poselift fit-noise`: videos in; a JSON file of detection noise, and optionally a plot, out."""

import argparse
from pathlib import Path

from model.training.noise.fit import fit_noise
from model.training.noise.plot import draw_fit
from model.training.noise.report import write_fit
from model.training.noise.tracks import detect_clip


def fit_noise_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Measure the detection noise of a detector on videos of people."
    parser.add_argument("clips", nargs="+", type=Path, help="video files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--plot", type=Path, help="also draw a PNG")
    parser.add_argument("--detector", default="mediapipe", help="its name (mediapipe)")


def fit_noise_command(options: argparse.Namespace) -> None:
    """Raises InvalidInput if no person is detected for long enough, and the errors of reading
    videos."""
    clips = [detect_clip(clip, options.detector) for clip in options.clips]
    tracks = [track for clip in clips for track in clip.tracks]
    fit = fit_noise(tracks, clips[0].detector)
    write_fit(fit, options.output)
    if options.plot:
        draw_fit(fit, options.plot)
    print(
        f"{options.output}: {len(fit.people)} people, {len(fit.swaps)} left/right swaps, "
        f"correlation {fit.correlation.rho:g} over 1/50 s"
    )
