"""`poselift fit-noise`: clips in; a JSON file, and on demand a picture, out."""

import argparse
from pathlib import Path

from model.training.noise.fit import fit_noise
from model.training.noise.plot import draw_fit
from model.training.noise.report import write_fit
from model.training.noise.tracks import watch


def fit_noise_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Measure what a detector really does on clips of people."
    parser.add_argument("clips", nargs="+", type=Path, help="video files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--plot", type=Path, help="also draw a PNG")
    parser.add_argument("--detector", default="mediapipe", help="its name (mediapipe)")


def fit_noise_command(options: argparse.Namespace) -> None:
    """Raises InvalidInput where nobody is seen for long enough, and what a bad video raises."""
    sightings = [watch(clip, options.detector) for clip in options.clips]
    tracks = [track for seen in sightings for track in seen.tracks]
    fit = fit_noise(tracks, sightings[0].detector)
    write_fit(fit, options.output)
    if options.plot:
        draw_fit(fit, options.plot)
    spells = len(fit.spells)
    print(
        f"{options.output}: {len(fit.people)} people, {spells} left/right swaps, correlation "
        f"{fit.correlation.rho:g} over 1/50 s"
    )
