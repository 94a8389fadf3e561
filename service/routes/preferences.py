"""Request headers: RFC 7240's `Prefer: wait=N` and `respond-async`, and Idempotency-Key."""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from fastapi import Depends, Header

from model import InvalidInput
from service.settings import Settings
from service.state import Service

MAX_KEY = 255


class Wait(NamedTuple):
    """How long to wait for a result, s, and the Preference-Applied of the response."""

    seconds: float
    applied: str | None

    def headers(self) -> dict[str, str]:
        return {} if self.applied is None else {"preference-applied": self.applied}


async def _wait(
    service: Service,
    prefer: Annotated[
        list[str] | None,
        Header(description="wait=N: wait at most N seconds; respond-async: do not wait"),
    ] = None,
) -> Wait:
    return wait_of(",".join(prefer or ()), service.settings)


def wait_of(prefer: str, settings: Settings) -> Wait:
    """Unknown or malformed preferences are ignored, as RFC 7240 requires."""
    preferences = dict(reversed(list(_preferences(prefer))))
    if preferences.get("wait", "").isdecimal():
        seconds = min(float(preferences["wait"]), settings.video_wait_max_s)
        return Wait(seconds, f"wait={seconds:g}")
    if "respond-async" in preferences:
        return Wait(0, "respond-async")
    return Wait(settings.video_wait_s, None)


def _preferences(prefer: str) -> Iterator[tuple[str, str]]:
    """(name, value) of each. Of repeated preferences the first counts."""
    for preference in prefer.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        yield name.strip().lower(), value.strip().strip('"')


async def _key(
    idempotency_key: Annotated[
        str | None, Header(description="repeated requests with the same key return the same job")
    ] = None,
) -> str | None:
    if idempotency_key is None:
        return None
    length = len(idempotency_key)
    if not (0 < length <= MAX_KEY and idempotency_key.isascii()):
        raise InvalidInput(
            f"Idempotency-Key must have 1 to {MAX_KEY} ASCII characters, got {length}",
            ("Idempotency-Key",),
        )
    return idempotency_key


Waiting = Annotated[Wait, Depends(_wait)]
IdempotencyKey = Annotated[str | None, Depends(_key)]
