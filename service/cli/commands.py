"""The console script `poselift`: its commands and their options."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from model import ANGLES, FORMATS, H36M17, Given, PoseError, VideoOptions
from service.bench.networks import Peers
from service.bench.report import GROUPS
from service.cli.options import add_options

TRAINING = {
    "train": "train a model",
    "evaluate": "evaluate a model on the validation subjects",
    "export": "convert a checkpoint to a model file",
    "fit-noise": "measure the errors of a detector on real clips",
    "fit-confidence": "add a confidence for each joint to a model",
    "import-motion": "convert motion capture to recordings for training",
    "import-official": "convert a published checkpoint to ours",
}
INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error is one line, and the exit code is not 0."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words and words[0] in TRAINING:
            return _train(words[0], words[1:])
        options = _parser().parse_args(words)
        code: int = options.run(options)
        return code
    except PoseError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _failed(message: str) -> int:
    print(f"poselift: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poselift", description="Videos or 2D keypoints in, 3D human poses out."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the installed version")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the HTTP service"))
    _add_video(commands.add_parser("video", help="lift every person in videos"))
    _add_lift(commands.add_parser("lift", help="lift 2D keypoints from files"))
    _add_plot(commands.add_parser("plot", help="draw a result's joints and angles over time"))
    _add_bench(
        commands.add_parser("bench", help="measure this machine, compared with the alternatives")
    )
    for name, meaning in TRAINING.items():
        commands.add_parser(name, help=f"{meaning} (needs the extra `train`)")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from service.routes.status import version

        print(f"poselift {version()}")
        parser.exit()


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--host", help="address to listen on (POSELIFT_HOST, 127.0.0.1)")
    serve.add_argument("--port", type=int, help="port; 0 takes a free one (POSELIFT_PORT, 8000)")
    serve.set_defaults(run=_serve)


def _add_video(video: argparse.ArgumentParser) -> None:
    video.add_argument(
        "videos", nargs="*", metavar="VIDEO", help="a file, a folder of videos, or an http(s) URL"
    )
    video.add_argument(
        "-o", "--output", type=Path, help="a folder for the results; of one video, also a file"
    )
    video.add_argument(
        "--format",
        metavar="NAME,...",
        help="what to write into the folder, without -o the current one: json (the default of a "
        "folder), overlay, " + ", ".join(FORMATS),
    )
    video.add_argument(
        "--overlay",
        type=Path,
        nargs="?",
        const=True,
        default=False,
        metavar="FILE.mp4",
        help="also the video with its poses drawn, named after the video unless a file is named",
    )
    video.add_argument("--overwrite", action="store_true", help="replace existing files")
    video.add_argument("--server", metavar="URL", help="lift on a running service")
    video.add_argument("--detector", help="the 2D detector (POSELIFT_DETECTOR)")
    video.add_argument("--model", help="a model of the weights folder (POSELIFT_MODEL)")
    add_options(video, VideoOptions, "detector")
    video.set_defaults(run=_video)


def _add_lift(lift: argparse.ArgumentParser) -> None:
    lift.add_argument(
        "keypoints",
        type=Path,
        help="a body of POST /lift, a list of COCO results (.json), an .npz, or OpenPose's folder",
    )
    lift.add_argument("--fps", type=float, help="frames a second, if the file does not contain it")
    lift.add_argument("--image-size", type=_size, metavar="WIDTHxHEIGHT", help="px, likewise")
    lift.add_argument("--skeleton", help="the order of the joints, likewise, as in POST /lift")
    lift.add_argument("--person", type=int, help="which person, if there are several (the largest)")
    lift.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="the poses; the suffix sets the format: .json, "
        + ", ".join(kind.suffix for kind in FORMATS.values()),
    )
    lift.set_defaults(run=_lift)


def _add_plot(plot: argparse.ArgumentParser) -> None:
    plot.add_argument(
        "result", type=Path, help="a .json or .npz of `poselift video`, an .npz of `poselift lift`"
    )
    plot.add_argument("-o", "--output", type=Path, help="a .png, .svg or .pdf (RESULT.png)")
    plot.add_argument(
        "--joints",
        type=_listed,
        default=[],
        metavar="NAME,...",
        help=", ".join(H36M17.joints) + "; without left_ or right_: both",
    )
    plot.add_argument(
        "--angles",
        type=_listed,
        default=[],
        metavar="NAME,...",
        help=", ".join(ANGLES) + "; likewise",
    )
    plot.add_argument("--person", type=int, action="append", default=[], help="an id (all people)")
    plot.set_defaults(run=_plot)


def _add_bench(bench: argparse.ArgumentParser) -> None:
    bench.description = (
        "Measure this machine: ratios of runs taken in turns, one thread, CPU time, medians."
    )
    bench.add_argument(
        "--only", nargs="+", choices=GROUPS, metavar="LINES", help=f"of {', '.join(GROUPS)}"
    )
    bench.add_argument(
        "--windows", nargs="+", type=int, default=[9, 27, 81], help="frames, of random networks"
    )
    bench.add_argument("--frames", type=int, default=1000, help="length of the video (1000)")
    bench.add_argument("--rounds", type=int, default=3, help="number of runs for a median (3)")
    bench.add_argument(
        "--detectors", type=Path, metavar="CLIP", help="compare the installed detectors on a clip"
    )
    bench.add_argument(
        "--detector",
        action="append",
        default=[],
        metavar="NAME",
        help="with --detectors: also this detector",
    )
    bench.add_argument("--tune", action="store_true", help="find the best POSELIFT_BATCH_TOKENS")
    bench.add_argument(
        "--load", action="store_true", help="find how many live streams this machine holds"
    )
    bench.add_argument("--json", type=Path, help="also write the figures to a file")
    bench.set_defaults(run=_bench)


def _listed(text: str) -> list[str]:
    return text.split(",")


def _size(text: str) -> tuple[int, int]:
    width, by, height = text.lower().partition("x")
    if not (by and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in px, as 1920x1080, got {text!r}")
    return int(width), int(height)


def _serve(options: argparse.Namespace) -> int:
    from service.cli.serve import serve
    from service.settings import read_settings

    settings = {"host": options.host, "port": options.port}
    return serve(read_settings(**{name: v for name, v in settings.items() if v is not None}))


def _video(options: argparse.Namespace) -> int:
    from service.cli.video import video

    return video(options)


def _lift(options: argparse.Namespace) -> int:
    from service.cli.offline import lift

    known = Given(options.fps, options.image_size, options.skeleton, options.person)
    return lift(options.keypoints, options.output, known)


def _plot(options: argparse.Namespace) -> int:
    from service.cli.plot import plot

    return plot(options)


def _bench(options: argparse.Namespace) -> int:
    if options.detectors:
        from service.bench.detectors import compare

        return compare(options)
    from service.bench.command import bench

    return bench(options, _peers)


def _peers() -> Peers:
    """The networks to compare with; raises PoseError if torch is not installed."""
    try:
        from model.training.networks.peers import TorchPeers
    except ModuleNotFoundError as error:
        raise PoseError(_missing("bench", error)) from error
    return TorchPeers()


def _train(command: str, arguments: list[str]) -> int:
    """Training is imported here and nowhere else, because torch comes with it."""
    try:
        from model.training.commands import run
    except ModuleNotFoundError as error:
        return _failed(_missing(command, error))
    return run(command, arguments)


def _missing(command: str, error: ModuleNotFoundError) -> str:
    """The message for a package that only training needs; any other error is raised again."""
    if (error.name or "").partition(".")[0] in ("model", "service"):
        raise error
    return (
        f"`poselift {command}` needs the package {error.name}: "
        "install poselift with the extra `train`, as in pip install 'poselift[train]'"
    )
