"""The errors that the library raises.

PoseError
├── InvalidInput          the caller's data or options are invalid: `where` is the path to the value
│   ├── UnknownName       no model, skeleton, detector or option of that name
│   ├── NotAVideo         the content is not a video
│   ├── UnreadableVideo   a video of which no frame can be decoded
│   └── TooLarge          over a limit
├── ModelFileError        a model file that is invalid, damaged or of another kind
├── DeviceUnavailable     the requested device cannot be used
└── DetectorUnavailable   the requested detector cannot be opened or run
"""

from collections.abc import Iterable


class PoseError(Exception):
    """Base of all errors; its message tells the user what to do."""


class InvalidInput(PoseError):
    """An invalid value; `where` is the path to it, such as ("keypoints", 3, 5), if known."""

    def __init__(self, message: str, where: tuple[str | int, ...] = ()):
        super().__init__(message)
        self.where = where


class UnknownName(InvalidInput):
    """A name that does not exist; the message lists the known names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        names = ", ".join(sorted(known)) or "none"
        super().__init__(f"unknown {kind} {name[:80]!r}; known: {names}", where=(kind,))


class NotAVideo(InvalidInput):
    """The content is not a video: empty, text, an image, audio only, or a playlist."""


class UnreadableVideo(InvalidInput):
    """A video container of which no frame can be decoded."""


class TooLarge(InvalidInput):
    """The input exceeds a limit."""


class ModelFileError(PoseError):
    """A model file that cannot be used."""


class DeviceUnavailable(PoseError):
    """The requested device cannot be used; the message names what is missing."""


class DetectorUnavailable(PoseError):
    """The requested detector cannot be opened or run; the message says what to install."""
