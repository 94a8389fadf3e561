"""Query options of the routes; unknown and repeated ones are rejected."""

from collections import Counter
from typing import Annotated, Literal

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from model import DETECTORS, FORMATS, SPACES, InvalidInput, UnknownName, VideoOptions
from service.wire.fields import options_model

MAX_LISTED = 1000

_Options = options_model("VideoFields", VideoOptions, ConfigDict(extra="forbid"), "detector")


class VideoQuery(_Options):  # type: ignore[misc, valid-type]
    """The options of POST /video."""

    detector: Annotated[
        str | None, Field(description="the 2D detector; default: that of the service")
    ] = None
    model: Annotated[
        str | None, Field(description="one of GET /models; default: that of the service")
    ] = None

    def options(self, default_detector: str) -> VideoOptions:
        """Raises InvalidInput for a value outside its limits."""
        values = self.model_dump(exclude={"model", "detector"})
        return VideoOptions(detector=self._detector(default_detector), **values)

    def _detector(self, default: str) -> str:
        """Known names only, because others may be files or addresses."""
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
    space: Annotated[
        Literal[SPACES] | None, Field(description="default: that of the request for the video")  # type: ignore[valid-type]
    ] = None

    @property
    def file_name(self) -> str:
        """The result file; raises UnknownName, and InvalidInput for `person` with json."""
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
    """Rejects query options on a route that has none."""
    for name in request.query_params:
        raise InvalidInput(f"unknown query option {name[:80]!r}; this route has none", (name[:80],))


async def _once_each(request: Request) -> None:
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1:
            raise InvalidInput(f"the query option {name!r} is given {count} times", (name,))


OPTIONS_ONCE = Depends(_once_each)
VideoOptionsAsked = Annotated[VideoQuery, Query()]
JobsAsked = Annotated[JobsQuery, Query()]
ResultAsked = Annotated[ResultQuery, Query()]
