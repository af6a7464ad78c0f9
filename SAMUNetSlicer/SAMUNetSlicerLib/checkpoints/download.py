"""Downloads a published model file: resumed after a break, verified before use, in steps that a host can pace.

A download is a generator. Closing it cancels; what has arrived stays beside the target and is continued next time.
Proxies are those of the environment (HTTPS_PROXY and its like), as `requests` finds them.
"""

from __future__ import annotations

import contextlib
import selectors
import shutil
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from .. import project
from ..atomic_file import put_in_place
from ..errors import ModelError, OutputError
from .alone import alone
from .catalogue import ModelFile
from .listing import PART_SUFFIX
from .steps import Phase, Progress, hash_in_steps

LOCK_SUFFIX = ".lock"  # of what tells other programs that a download is under way
TAG_SUFFIX = ".tag"  # of the server's name for the version of a download that is not finished
_RETRIED = {408, 425, 429, 500, 502, 503, 504}  # HTTP states that pass by themselves
_SPARE_BYTES = 64 * 2**20  # left free on the disk
_LONGEST_WAIT_S = 60.0
# What the layers below may hold back of what has arrived: up to one buffer of the HTTP client and one TLS record.
_HELD_BACK_BYTES = 2**15


@dataclass(frozen=True)
class Patience:
    """How long to try. attempts: failures in a row without a byte received; times in seconds.

    chunk_bytes, step_s: the most that one step receives, and the longest that one step waits. Only looking up,
    connecting and the beginning of the answer are one step each, of at most connect_s and read_s.
    """

    attempts: int = 5
    first_wait_s: float = 1.0
    connect_s: float = 10.0
    read_s: float = 30.0
    chunk_bytes: int = 2**18
    step_s: float = 0.2


PATIENCE_OF_A_WINDOW = Patience(connect_s=3.0, read_s=10.0, chunk_bytes=2**16, step_s=0.01)


class _TransientError(Exception):
    """Worth another attempt. wait_s: what the server asked for, if it did."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def download(file: ModelFile, folder: Path, patience: Patience | None = None) -> Iterator[Progress]:
    """Bring `file` into `folder`; it appears there only when whole and verified. Nothing happens before the first step.

    Raises ModelError at once when it has no address; on the way when it cannot be had, is not the published file or
    is being downloaded by another process; OutputError when it cannot be stored.
    """
    if file.url is None or file.digest is None:
        raise ModelError(f"{file.name} has no address to download it from. Install it from a file that you have.")
    return _download(file, folder, patience or Patience())


def _download(file: ModelFile, folder: Path, patience: Patience) -> Iterator[Progress]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two that append to one file would spoil it for each other.
        with alone(folder / f"{file.name}{LOCK_SUFFIX}") as held:
            if not held:
                raise ModelError(f"Another program is downloading {file.name} now. Wait until it has finished.")
            size = yield from _bring(file, folder, patience)
    except OSError as error:
        raise OutputError(f"{file.name} cannot be stored in {folder}: {error.strerror or error}.") from error
    yield Progress(Phase.DONE, size, size)


def _bring(file: ModelFile, folder: Path, patience: Patience) -> Generator[Progress, None, int]:
    """Returns the size of the file, which is in the folder then."""
    part = folder / f"{file.name}{PART_SUFFIX}"
    fresh = not part.exists()
    try:
        while True:
            yield from _receive(file, part, patience)
            good = yield from _verify(file, part)
            if good:
                break
            discard_part(part)
            if fresh:
                raise ModelError(
                    f"What the server sent is not the published {file.name}: its hash differs. It was deleted."
                )
            fresh = True  # the beginning may have been an older version's: once more from nothing
        size = part.stat().st_size
        put_in_place(part, folder / file.name)
    finally:
        _discard_if_empty(part)  # with the tag of what has arrived whole, too
    return size


def _receive(file: ModelFile, part: Path, patience: Patience) -> Iterator[Progress]:
    failures = 0
    with requests.Session() as session:
        while True:
            before = _size_of(part)
            try:
                yield from _attempt(session, file, part, patience)
                return
            except _TransientError as error:
                failures = 1 if _size_of(part) > before else failures + 1
                if failures >= patience.attempts:
                    raise ModelError(
                        f"{file.name} could not be downloaded: {error}. Check the connection and any proxy, and try "
                        "again: it continues where it stopped. Or install the model from a file."
                    ) from error
                wait_s = error.wait_s or patience.first_wait_s * 2 ** (failures - 1)
                yield from _wait(min(wait_s, _LONGEST_WAIT_S), patience.step_s, _size_of(part), file.size)


def _attempt(session: requests.Session, file: ModelFile, part: Path, patience: Patience) -> Iterator[Progress]:
    """One request, from where the last one stopped."""
    offset = _size_of(part)
    if file.size is not None and offset == file.size:
        return
    yield Progress(Phase.CONNECTING, offset, file.size)
    headers = {"Accept-Encoding": "identity", "User-Agent": f"{project.NAME}/{project.VERSION}"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if _tag_of(part).exists():
            headers["If-Range"] = _tag_of(part).read_text(encoding="utf-8")
    try:
        with session.get(
            file.url, headers=headers, stream=True, timeout=(patience.connect_s, patience.read_s)
        ) as response:
            if offset and response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing comes after what has arrived: its hash tells whether that is the file
            offset = _check_answer(response, file, part, offset)
            total = _total_of(response, file, offset)
            _need_room(part.parent, file, total, offset)
            yield from _store(response, file, part, offset, total, patience)
    except requests.exceptions.SSLError as error:
        raise ModelError(f"{file.name}: the server's certificate is not trusted here.") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _TransientError("the connection failed or broke") from error
    except requests.RequestException as error:
        raise ModelError(f"{file.name} could not be downloaded: {error}.") from error


def _check_answer(response: requests.Response, file: ModelFile, part: Path, offset: int) -> int:
    """Where in the file the answer begins. Raises ModelError or _TransientError for anything but the file."""
    if urlsplit(file.url).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise ModelError(f"{file.name}: the server redirects to an address that is not protected (https).")
    if response.status_code in _RETRIED:
        wait = response.headers.get("Retry-After", "")
        raise _TransientError(f"the server is busy ({response.status_code})", float(wait) if wait.isdigit() else None)
    if not response.ok:
        raise ModelError(f"{file.name} could not be downloaded: the server answers {response.status_code}.")
    if response.status_code == requests.codes.partial_content:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            discard_part(part)
            raise _TransientError("the server sent another part than the one asked for")
        return offset
    discard_part(part)  # it sends the whole file again
    tag = response.headers.get("ETag", response.headers.get("Last-Modified"))
    if tag and not tag.startswith("W/"):
        _tag_of(part).write_text(tag, encoding="utf-8")
    return 0


def _total_of(response: requests.Response, file: ModelFile, offset: int) -> int | None:
    """The whole file's size. Raises ModelError where the server announces another one than was published."""
    length = response.headers.get("Content-Length", "")
    announced = offset + int(length) if length.isdigit() else None
    if file.size is not None and announced not in (None, file.size):
        raise ModelError(
            f"The server offers another file than {file.name}: {announced:,} bytes instead of {file.size:,}."
        )
    return file.size or announced


def _store(
    response: requests.Response, file: ModelFile, part: Path, offset: int, total: int | None, patience: Patience
) -> Iterator[Progress]:
    done = offset
    with part.open("ab") as stream:
        while True:
            if total is not None and total - done > _HELD_BACK_BYTES:
                yield from _until_something_comes(response, patience, Progress(Phase.RECEIVING, done, total))
            chunk = _what_is_there(response, patience.chunk_bytes)
            if not chunk:
                break
            stream.write(chunk)
            done += len(chunk)
            if total is not None and done > total:
                break
            yield Progress(Phase.RECEIVING, done, total)
    if total is not None and done > total:
        discard_part(part)
        raise ModelError(f"The server sends more than {file.name} holds. What it sent was deleted.")
    if total is not None and done < total:
        raise _TransientError("the connection ended early")


def _what_is_there(response: requests.Response, most_bytes: int) -> bytes:
    """What has arrived; waits only where that is nothing. b"" at the end. Raises _TransientError for a broken line."""
    try:
        if hasattr(response.raw, "read1"):
            return response.raw.read1(most_bytes)
        return response.raw.read(most_bytes)  # urllib3 before 2.2 waits for all of it
    except requests.packages.urllib3.exceptions.HTTPError as error:
        raise _TransientError("the connection failed or broke") from error


def _until_something_comes(response: requests.Response, patience: Patience, so_far: Progress) -> Iterator[Progress]:
    """Short waits instead of one long one while the server is silent. Raises _TransientError after read_s seconds."""
    if response.raw.closed:  # all that was sent has been read
        return
    end = time.monotonic() + patience.read_s
    with selectors.DefaultSelector() as watched:
        watched.register(response.raw, selectors.EVENT_READ)
        while not watched.select(patience.step_s):
            if time.monotonic() > end:
                raise _TransientError("the connection failed or broke")
            yield so_far


def _verify(file: ModelFile, part: Path) -> Generator[Progress, None, bool]:
    """Returns whether the file's hash is the published one."""
    algorithm, expected = file.digest
    found = yield from hash_in_steps(part, algorithm)
    return found[algorithm] == expected


def _wait(seconds: float, step_s: float, done: int, total: int | None) -> Iterator[Progress]:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield Progress(Phase.WAITING, done, total)
        time.sleep(min(step_s, left))


def need_room(folder: Path, wanted_bytes: int, what: str) -> None:
    """Raise OutputError unless the disk of `folder` has so much room to spare."""
    free = shutil.disk_usage(folder).free
    if wanted_bytes + _SPARE_BYTES > free:
        raise OutputError(
            f"{what} needs {wanted_bytes / 1e6:,.0f} MB, but {folder} has only {free / 1e6:,.0f} MB left. "
            "Free some room and try again."
        )


def _need_room(folder: Path, file: ModelFile, total: int | None, offset: int) -> None:
    if total is not None:
        need_room(folder, total - offset, file.name)


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tag_of(part: Path) -> Path:
    """Where the server's name for the version that was begun is kept."""
    return part.with_suffix(TAG_SUFFIX)


def _discard_if_empty(part: Path) -> None:
    with contextlib.suppress(OSError):
        if not _size_of(part):
            discard_part(part)


def discard_part(part: Path) -> None:
    """Delete what has arrived of a download, and the server's name for its version."""
    for path in (part, _tag_of(part)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
