"""A web server on this computer that misbehaves as told."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Handler = Callable[["Request"], None]


class Request(http.server.BaseHTTPRequestHandler):
    """One request; the answers below may be composed."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        server = self.server.flaky
        server.requests.append((self.path, dict(self.headers)))
        self.close_connection = True
        plan = server.plan.pop(0) if server.plan else serve_well
        plan(self)

    def log_message(self, *_arguments) -> None:
        pass

    @property
    def content(self) -> bytes:
        return self.server.flaky.content

    @property
    def wanted_offset(self) -> int:
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if length != -1:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client may have had enough
            self.wfile.write(body)


def serve_well(request: Request) -> None:
    """As a good server does: ranges, and a tag for the version."""
    offset, content = request.wanted_offset, request.content
    tag = {"ETag": request.server.flaky.tag}
    if offset and request.headers.get("If-Range", tag["ETag"]) == tag["ETag"]:
        span = {"Content-Range": f"bytes {offset}-{len(content) - 1}/{len(content)}"}
        request.answer(206, content[offset:], tag | span)
    else:
        request.answer(200, content, tag)


def serve_whole(request: Request) -> None:
    """Ignores ranges."""
    request.answer(200, request.content)


def serve_without_length(request: Request) -> None:
    request.answer(200, request.content, length=-1)


def break_after(count: int) -> Handler:
    """Promises the rest of the file and stops after `count` bytes of it."""

    def handler(request: Request) -> None:
        offset, content = request.wanted_offset, request.content
        headers = {"ETag": request.server.flaky.tag}
        if offset:
            headers["Content-Range"] = f"bytes {offset}-{len(content) - 1}/{len(content)}"
        request.answer(206 if offset else 200, content[offset : offset + count], headers, len(content) - offset)

    return handler


def fail_with(status: int, **headers: str) -> Handler:
    return lambda request: request.answer(status, b"", {k.replace("_", "-"): v for k, v in headers.items()})


def serve_other(body: bytes, status: int = 200, length: int | None = None, **headers: str) -> Handler:
    return lambda request: request.answer(status, body, {k.replace("_", "-"): v for k, v in headers.items()}, length)


def redirect_to(place: str) -> Handler:
    return lambda request: request.answer(302, b"", {"Location": place})


def stall(seconds: float) -> Handler:
    """Sends some bytes, then nothing for a while."""
    return stall_after(1000, seconds)


def stall_after(count: int, seconds: float) -> Handler:
    """Sends so many bytes, then nothing for a while."""

    def handler(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(request.content)))
        request.end_headers()
        request.wfile.write(request.content[:count])
        request.wfile.flush()
        time.sleep(seconds)

    return handler


@dataclass
class FlakyServer:
    """plan: what to do with the next requests, one each; after them it serves well."""

    content: bytes
    plan: list[Handler] = field(default_factory=list)
    tag: str = '"v1"'
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> FlakyServer:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self._server.daemon_threads = True
        self._server.flaky = self
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_exception) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"
