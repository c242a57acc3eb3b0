"""The body of a request, whatever the client does: bounded in size and time, and no name it gives is used."""

from __future__ import annotations

import asyncio
from typing import BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from leadline.serve.problems import Problem

#: Bytes a form may have around the file.
AROUND = 1 << 16


async def receive(request: Request, sink: BinaryIO, most: int, seconds: float, idle: float) -> None:
    """Write the file that a request brings: the first file of a form, or else the whole body.

    Args:
        request: whose body has not been read.
        sink: open for writing.
        most: bytes of the file.
        seconds: for all of it.
        idle: seconds without a byte.

    Raises:
        Problem: 400 for a broken form, an empty or cut off body, 408 for a slow one, 413 for one too large.
    """
    too_large = Problem(413, f"more than {most / 1e6:g} MB")
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > most + AROUND:
        raise too_large
    file = _Counted(sink, most, too_large)
    kind, options = parse_options_header(request.headers.get("content-type"))
    body = _Form(options.get(b"boundary", b""), file) if kind == b"multipart/form-data" else file
    chunks, total = request.stream(), 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                async with asyncio.timeout(idle):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                total += len(chunk)
                if total > most + AROUND:
                    raise too_large
                body.write(chunk)
    except TimeoutError:
        raise Problem(408, f"the body came too slowly: at most {seconds:g} s, {idle:g} s without a byte") from None
    except ClientDisconnect:
        raise Problem(400, "the body is cut off") from None
    if isinstance(body, _Form):
        body.check_complete()
    if file.written == 0:
        raise Problem(400, "no file: send it as the body, or as the field 'file' of a form")


class _Counted:
    """A sink with an end."""

    def __init__(self, sink: BinaryIO, most: int, too_large: Problem) -> None:
        self.sink, self.most, self.too_large, self.written = sink, most, too_large, 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        if self.written > self.most:
            raise self.too_large
        self.sink.write(data)


class _Form:
    """A multipart form as it comes in (RFC 7578), of which the one file is kept."""

    def __init__(self, boundary: bytes, file: _Counted) -> None:
        self._file = file
        self._files, self._chosen, self._ended = 0, False, False
        self._name, self._value, self._disposition = b"", b"", b""
        if not boundary:
            raise Problem(400, "the form's content type names no boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._choose,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise Problem(400, f"not a form: {error}") from None

    def write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Problem(400, f"not a form: {error}") from None

    def check_complete(self) -> None:
        if not self._ended:
            raise Problem(400, "the form is cut off")
        if self._files == 0:
            raise Problem(400, "no file in the form: its field is called 'file'")

    def _begin(self) -> None:
        self._disposition, self._chosen = b"", False

    def _begin_header(self) -> None:
        self._name, self._value = b"", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value

    def _choose(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._chosen = b"filename" in options or options.get(b"name") == b"file"
        self._files += self._chosen
        if self._files > 1:
            raise Problem(400, "one file a request")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._chosen:
            self._file.write(data[start:end])

    def _end(self) -> None:
        self._ended = True
