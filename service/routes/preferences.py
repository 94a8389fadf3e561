"""What a request prefers of its reply: RFC 7240's `Prefer: wait=N` and `respond-async`, and the
Idempotency-Key."""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from fastapi import Depends, Header

from model import InvalidInput
from service.settings import Settings
from service.state import Service

MAX_KEY = 255


class Wait(NamedTuple):
    """How long to wait for a result, in s, and the Preference-Applied that says so."""

    seconds: float
    applied: str | None

    def headers(self) -> dict[str, str]:
        return {} if self.applied is None else {"preference-applied": self.applied}


async def _wait(
    service: Service,
    prefer: Annotated[
        list[str] | None,
        Header(description="wait=N: for so many seconds at most; respond-async: not at all"),
    ] = None,
) -> Wait:
    return wait_of(",".join(prefer or ()), service.settings)


def wait_of(prefer: str, settings: Settings) -> Wait:
    """Preferences that are unknown or make no sense are passed over, as RFC 7240 wants it."""
    asked = dict(reversed(list(_preferences(prefer))))
    if asked.get("wait", "").isdecimal():
        seconds = min(float(asked["wait"]), settings.video_wait_max_s)
        return Wait(seconds, f"wait={seconds:g}")
    if "respond-async" in asked:
        return Wait(0, "respond-async")
    return Wait(settings.video_wait_s, None)


def _preferences(prefer: str) -> Iterator[tuple[str, str]]:
    """(name, value) of each; of one given twice, the first counts."""
    for one in prefer.split(","):
        name, _, value = one.partition(";")[0].partition("=")
        yield name.strip().lower(), value.strip().strip('"')


async def _key(
    idempotency_key: Annotated[
        str | None, Header(description="a retried request with the same key is the same job")
    ] = None,
) -> str | None:
    if idempotency_key is None:
        return None
    if not (0 < len(idempotency_key) <= MAX_KEY and idempotency_key.isascii()):
        raise InvalidInput(
            f"an Idempotency-Key has 1 to {MAX_KEY} ASCII characters, got {len(idempotency_key)}",
            ("Idempotency-Key",),
        )
    return idempotency_key


Waiting = Annotated[Wait, Depends(_wait)]
IdempotencyKey = Annotated[str | None, Depends(_key)]
