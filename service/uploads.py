"""A multipart upload -> a temporary file: streamed, bounded, and removed whatever happens."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from model import InvalidInput
from service.bodies import check_declared, chunks
from service.errors import BadForm, NotMultipart
from service.settings import MB, Settings

FIELD = "file"
_WRITE_BYTES = MB


@asynccontextmanager
async def uploaded(request: Request, settings: Settings) -> AsyncIterator[Path]:
    """The file of the form's one field, `file`, for as long as the context lasts.

    File name and content type are ignored. Raises NotMultipart, BadForm, TooLarge, Stalled, and
    InvalidInput for another or a missing field.
    """
    limit = settings.max_upload_bytes
    boundary = _boundary(request)
    check_declared(request, limit, "an upload")
    form = _Form(boundary)
    with _temporary_path(settings.upload_folder) as path, path.open("wb") as file:
        async for chunk in chunks(request, limit, "an upload", settings.upload_stall_s):
            form.feed(chunk)
            if len(form.content) >= _WRITE_BYTES:
                await _write(file, form)
        form.finish()
        await _write(file, form)
        file.close()
        yield path


@contextmanager
def _temporary_path(folder: Path | None) -> Iterator[Path]:
    """An empty file that is gone when the context ends."""
    descriptor, name = tempfile.mkstemp(prefix="poselift-", suffix=".upload", dir=folder)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


async def _write(file: BinaryIO, form: "_Form") -> None:
    content, form.content = form.content, bytearray()
    await asyncio.to_thread(file.write, content)


def _boundary(request: Request) -> bytes:
    content_type = request.headers.get("content-type")
    if content_type is None:
        raise _missing()
    media_type, parameters = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        raise NotMultipart(
            f"expected multipart/form-data with the field {FIELD!r}, "
            f"got {content_type[:80]!r}; for example: curl -F {FIELD}=@clip.mp4"
        )
    if not parameters.get(b"boundary"):
        raise BadForm("the multipart body's content type has no boundary")
    return parameters[b"boundary"]


def _missing() -> InvalidInput:
    return InvalidInput(f"the multipart field {FIELD!r} is missing", (FIELD,))


class _Form:
    """Bytes of a form in, bytes of its file out: `content` holds what was not yet written."""

    def __init__(self, boundary: bytes):
        self.content = bytearray()
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._found = False
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BadForm(str(error)) from error

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BadForm(f"the multipart body is malformed: {error}") from error

    def finish(self) -> None:
        if not self._ended:
            raise BadForm("the multipart body breaks off before its last boundary")
        if not self._found:
            raise _missing()

    def _begin_part(self) -> None:
        self._disposition = b""

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, parameters = parse_options_header(self._disposition)
        name = parameters.get(b"name", b"").decode(errors="replace")[:80]
        if name != FIELD:
            raise InvalidInput(
                f"unknown form field {name!r}; the form has one, {FIELD!r}, "
                "and options are query parameters",
                (name,),
            )
        if self._found:
            raise InvalidInput(f"one video a request: the field {FIELD!r} comes twice", (FIELD,))
        self._found = True

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self.content += data[start:end]

    def _end(self) -> None:
        self._ended = True
