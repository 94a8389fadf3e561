"""`poselift lift`: POST /lift without a server."""

from dataclasses import replace
from pathlib import Path

from model import Given, InvalidInput, lift_keypoints
from service.cli.keypoint_files import read_request
from service.cli.terminal import people_in, report, warn
from service.lifting.lifters import Lifters
from service.settings import read_settings
from service.wire.files import format_to_write, write_lift


def lift(keypoints: Path, output: Path, given: Given) -> int:
    """2D keypoints in files -> the answer of POST /lift in a file; raises PoseError."""
    format_to_write(output)
    settings = read_settings()
    asked, guessed = read_request(keypoints, given, settings.max_frames)
    if asked.stream is not None:
        raise InvalidInput("a stream is the server's; leave `stream` away", ("stream",))
    lifter = Lifters(settings).get(asked.model)
    result = lift_keypoints(asked.sequence, lifter, asked.options)
    result = replace(result, warnings=(*guessed, *result.warnings))
    write_lift(result, output)
    warn(result.warnings)
    report(str(keypoints), people_in(result), [output])
    return 0
