"""What can go wrong, by whose fault it is.

PoseError
├── InvalidInput          the caller's data or options: `where` names the place
│   ├── UnknownName       a model, skeleton, detector or option that does not exist
│   ├── NotAVideo         the bytes are no video at all
│   ├── UnreadableVideo   a video, but no frame of it can be read
│   └── TooLarge          more than a stated limit
├── ModelFileError        a weights file that is wrong, damaged or of another kind
├── DeviceUnavailable     the device asked for is not there
└── DetectorUnavailable   the detector asked for cannot be opened here
"""

from collections.abc import Iterable


class PoseError(Exception):
    """Anything that poselift refuses, with a message that a user can act on."""


class InvalidInput(PoseError):
    """The caller's value does not fit: says what, what was expected, what was got.

    `where` is the path to the value, as in ("keypoints", 3, 5), where one is known.
    """

    def __init__(self, message: str, where: tuple[str | int, ...] = ()):
        super().__init__(message)
        self.where = where


class UnknownName(InvalidInput):
    """A name that nothing answers to; the message lists those that exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        names = ", ".join(sorted(known)) or "none"
        super().__init__(f"unknown {kind} {name[:80]!r}; known: {names}", where=(kind,))


class NotAVideo(InvalidInput):
    """The content is not a video: empty, text, a picture, audio alone, a playlist."""


class UnreadableVideo(InvalidInput):
    """A video container from which no frame could be decoded."""


class TooLarge(InvalidInput):
    """The input exceeds a stated limit."""


class ModelFileError(PoseError):
    """A weights file that cannot be used; says what was expected and what was found."""


class DeviceUnavailable(PoseError):
    """The device asked for cannot be used; names the missing piece."""


class DetectorUnavailable(PoseError):
    """The detector asked for cannot be opened; says what to install."""
