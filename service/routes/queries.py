"""Query options: only those that exist, each once."""

from collections import Counter
from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from model import DETECTORS, FORMATS, MAX_DETECT_EVERY, InvalidInput, UnknownName, VideoOptions
from service.wire.schemas import FLIP, Finite, FocalPx, HeightM, Readout, Smoothing, Space

MAX_LISTED = 1000

REPAIR = "exchange left and right back where the detector took one for the other"
OUTLIERS = "put keypoints back that leave their own path for a moment"
LIMBS = "let limbs keep their median lengths"
MinLength = Annotated[
    Finite, Field(ge=0, description="leave people out who were seen for fewer seconds")
]


class VideoQuery(BaseModel):
    """The options of POST /video."""

    model_config = ConfigDict(extra="forbid")

    detector: Annotated[
        str | None, Field(description="the 2D detector; none: the service's default")
    ] = None
    model: Annotated[
        str | None, Field(description="one of GET /models; none: the service's default")
    ] = None
    readout: Readout = "centre"
    flip: Annotated[bool, Field(description=FLIP)] = False
    max_people: Annotated[
        int, Field(ge=1, description="people that are followed at once, 16 at most")
    ] = 4
    min_length: MinLength = 0.0
    detect_every: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_DETECT_EVERY,
            description="look for people in every n-th frame only, faster but less exact",
        ),
    ] = 1
    repair: Annotated[bool, Field(description=REPAIR)] = True
    remove_outliers: Annotated[bool, Field(description=OUTLIERS)] = False
    smoothing: Smoothing = "butterworth"
    constant_limbs: Annotated[bool, Field(description=LIMBS)] = False
    space: Space = "root"
    focal_px: FocalPx = None
    height_m: HeightM = None

    def options(self, default_detector: str) -> VideoOptions:
        """Raises InvalidInput where a value is beyond what the pipeline takes."""
        given = self.model_dump(exclude={"model", "detector"})
        return VideoOptions(detector=self._detector(default_detector), **given)

    def _detector(self, default: str) -> str:
        """Files and addresses are the operator's to name: from a request, only what is known."""
        if self.detector is None:
            return default
        if self.detector not in (default, *DETECTORS):
            raise UnknownName("detector", self.detector, DETECTORS)
        return self.detector


class JobsQuery(BaseModel):
    """The options of GET /jobs."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MAX_LISTED, description="jobs at most")] = 100


class ResultQuery(BaseModel):
    """The options of GET /jobs/{id}/result."""

    model_config = ConfigDict(extra="forbid")

    format: Annotated[str, Field(description=f"json, {', '.join(FORMATS)}")] = "json"
    person: Annotated[int | None, Field(description="an id, where a format holds one")] = None
    space: Annotated[Space | None, Field(description="none: as the video was asked for")] = None

    @property
    def file_name(self) -> str:
        """Of the file that answers. Raises UnknownName, and InvalidInput for one person of json."""
        if self.format == "json":
            if self.person is not None:
                raise InvalidInput("json holds everybody; leave `person` away", ("person",))
            return f"result{self._in_space}.json"
        if self.format not in FORMATS:
            raise UnknownName("format", self.format, ["json", *FORMATS])
        which = "" if self.person is None else f"-{self.person}"
        return f"result{which}{self._in_space}{FORMATS[self.format].suffix}"

    @property
    def _in_space(self) -> str:
        return "" if self.space is None else f"-{self.space}"

    @property
    def media_type(self) -> str:
        return "application/json" if self.format == "json" else FORMATS[self.format].media_type


def no_options(request: Request) -> None:
    """For what takes no query options: one that is given is refused, never ignored."""
    for name in request.query_params:
        raise InvalidInput(f"unknown query option {name[:80]!r}; there are none here", (name[:80],))


async def _once_each(request: Request) -> None:
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in given.items():
        if count > 1:
            raise InvalidInput(f"the query option {name!r} is given {count} times", (name,))


OPTIONS_ONCE = Depends(_once_each)
VideoOptionsAsked = Annotated[VideoQuery, Query()]
JobsAsked = Annotated[JobsQuery, Query()]
ResultAsked = Annotated[ResultQuery, Query()]
