"""A multipart upload -> a file in the jobs folder: streamed, with a size limit."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from model import InvalidInput
from service.errors import BadForm, NotMultipart, StorageFull
from service.jobs.folder import JobsFolder
from service.settings import MB, Settings
from service.wire.bodies import check_declared, chunks

FIELD = "file"
_WRITE_BYTES = MB


@dataclass(frozen=True)
class Upload:
    """A complete upload, synced to the disk, and its SHA-256."""

    path: Path
    sha256: str


@asynccontextmanager
async def uploaded(
    request: Request, settings: Settings, folder: JobsFolder
) -> AsyncIterator[Upload]:
    """The file of the form's one field, `file`, removed at the end of the context unless accepted.

    File name and content type are ignored. Raises NotMultipart, BadForm, TooLarge, Stalled,
    StorageFull, and InvalidInput if the field is missing or there is another.
    """
    limit = settings.max_upload_bytes
    boundary = _boundary(request)
    folder.check_space(check_declared(request, limit, "an upload"))
    form = _Form(boundary)
    with folder.upload() as path, path.open("wb") as file:
        writer = _Writer(file, folder)
        async for chunk in chunks(request, limit, "an upload", settings.upload_stall_s):
            form.feed(chunk)
            if len(form.content) >= _WRITE_BYTES:
                await asyncio.to_thread(writer.write, form.take())
        form.finish()
        await asyncio.to_thread(writer.finish, form.take())
        yield Upload(path, writer.sha256())


class _Writer:
    """Writes and hashes bytes; raises StorageFull."""

    def __init__(self, file: BinaryIO, folder: JobsFolder):
        self._file = file
        self._folder = folder
        self._hash = hashlib.sha256()

    def write(self, content: bytes) -> None:
        self._folder.check_space(len(content))
        self._hash.update(content)
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            raise StorageFull(f"the upload cannot be written: {error.strerror}") from error

    def finish(self, content: bytes) -> None:
        self.write(content)
        os.fsync(self._file.fileno())

    def sha256(self) -> str:
        return self._hash.hexdigest()


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
    """Parses a form incrementally: `content` holds bytes of its file that were not taken yet."""

    def __init__(self, boundary: bytes):
        self.content = bytearray()
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._has_file = False
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

    def take(self) -> bytes:
        content, self.content = bytes(self.content), bytearray()
        return content

    def finish(self) -> None:
        if not self._ended:
            raise BadForm("the multipart body ends before its last boundary")
        if not self._has_file:
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
        if self._has_file:
            raise InvalidInput(f"expected one video, got the field {FIELD!r} twice", (FIELD,))
        self._has_file = True

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self.content += data[start:end]

    def _end(self) -> None:
        self._ended = True
