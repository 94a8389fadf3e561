"""`poselift lift`: POST /lift without a server."""

from dataclasses import replace
from pathlib import Path

from model import Given, InvalidInput, lift_keypoints
from service.cli.keypoint_files import read_request
from service.cli.terminal import people_in, report, warn
from service.lifting.lifters import Lifters
from service.settings import read_settings
from service.wire.files import format_to_write, write_lift


def lift(keypoints: Path, output: Path, known: Given) -> int:
    """Lift 2D keypoints from files and write the result; raises PoseError."""
    format_to_write(output)
    settings = read_settings()
    request, guessed = read_request(keypoints, known, settings.max_frames)
    if request.stream is not None:
        raise InvalidInput("streams need a server; remove `stream`", ("stream",))
    lifter = Lifters(settings).get(request.model)
    result = lift_keypoints(request.sequence, lifter, request.options)
    result = replace(result, warnings=(*guessed, *result.warnings))
    write_lift(result, output)
    warn(result.warnings)
    report(str(keypoints), people_in(result), [output])
    return 0
