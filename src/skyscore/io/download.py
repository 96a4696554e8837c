"""Fetching files: retries with back-off, resume, verification before the file takes its place.

Files are fetched in parallel, as many as the workflow is given cores: each is a job of its own. A file under way is
kept beside its place as `.<name>.part`, so that an interrupted download goes on where it stopped, in this run or the
next. Its bytes and SHA-256 are verified before it is renamed: no half or wrong file is in place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from skyscore.checksums import digest_of
from skyscore.config.datasets import mirrored

from . import InputError, flush

__all__ = ["download"]

CHUNK = 1 << 18
LASTING = {408, 425, 429}  # client errors that pass: timeout, too early, too many requests


class Interrupted(Exception):
    """This attempt failed in a way that another may not."""


def verify(path: Path, url: str, sha256: str | None, size: int | None, origin: str) -> None:
    """InputError if the file at `path` is not the one the table describes, as far as it does."""
    found = path.stat().st_size
    if size is not None and found != size:
        raise InputError(f"{origin}: {found} bytes where {size} are expected; {remedy(url)}")
    digest = digest_of(path)
    if sha256 is None:
        print(
            f"{origin}: taken as given, {found} bytes; to pin it, write its SHA-256 into the table: {digest}"
        )
    elif digest != sha256:
        raise InputError(
            f"{origin}: wrong checksum, SHA-256 {digest[:16]}... where {sha256[:16]}... is expected; {remedy(url)}"
        )


def remedy(url: str) -> str:
    parts = urlsplit(url)
    return (
        f"get the right file and name its folder with --config mirror=DIR (as DIR/{parts.netloc}{parts.path})"
    )


def download(
    url: str,
    path: str | Path,
    sha256: str | None,
    size: int | None,
    mirror: str | Path | None = None,
    attempts: int = 6,
    backoff: float = 1.0,
    timeout: float = 30.0,
    progress: bool = True,
) -> None:
    """Put the file of `url` at `path`, verified.

    Arguments:
        url: Address (http or https).
        path: Where the file goes.
        sha256: Its SHA-256, hexadecimal; None where unknown, for a file of a mirror only.
        size: Its size [byte]; likewise.
        mirror: Folder that holds it as <host>/<path>; None asks the network.
        attempts: How often to try.
        backoff: Wait before the second attempt [s]; doubles with each one, up to a minute.
        timeout: Longest silence of the server [s].

    Raises:
        InputError: one line that names the address, what went wrong, and what to do.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    if mirror is not None:
        source = mirrored(url, mirror)
        if not source.is_file():
            raise InputError(
                f"{source}: not in the mirror; put the file of {url} there or leave `mirror` out"
            )
        shutil.copyfile(source, part)
        try:
            verify(part, url, sha256, size, str(source))
        except InputError:
            part.unlink()
            raise
    elif sha256 is None or size is None:
        raise InputError(f"{url}: size or checksum is not known, so it is not fetched; {remedy(url)}")
    else:
        fetch(url, part, sha256, size, attempts, backoff, timeout, progress)
    flush(part)
    os.replace(part, path)


def fetch(
    url: str,
    part: Path,
    sha256: str,
    size: int,
    attempts: int,
    backoff: float,
    timeout: float,
    progress: bool,
) -> None:
    """Bring `part` to the whole, verified file."""
    reason = ""
    for attempt in range(attempts):
        if attempt:
            wait = min(backoff * 2 ** (attempt - 1), 60.0)
            print(f"{url}: {reason}; next attempt in {wait:g} s")
            time.sleep(wait)
        try:
            resumed = receive(url, part, size, timeout, progress)
        except (Interrupted, requests.ConnectionError, requests.Timeout) as error:
            reason = summary(error)
            continue
        try:
            verify(part, url, sha256, size, url)
            return
        except InputError:
            part.unlink()
            if not resumed:  # the whole file in one piece, and wrong: it will not get better
                raise
            reason = "the resumed file has a wrong checksum, starting anew"
    raise InputError(
        f"{url}: download failed after {attempts} attempt(s) ({reason}); try again later, or {remedy(url)}"
    )


def summary(error: Exception) -> str:
    """One line for what the network said."""
    if isinstance(error, Interrupted):
        return str(error)
    return f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"


def receive(url: str, part: Path, size: int, timeout: float, progress: bool) -> bool:
    """One request for what is missing of `part`. True if it went on from bytes of an earlier attempt."""
    have = part.stat().st_size if part.exists() else 0
    if have >= size:  # complete but unverified, or too long: verification decides or it is fetched anew
        if have == size:
            return True
        have = 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=timeout)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise InputError(
            f"{url}: not an address that can be fetched; correct it in config/datasets.tsv"
        ) from error
    except requests.TooManyRedirects as error:
        raise InputError(f"{url}: the server redirects without end; {remedy(url)}") from error
    with response:
        status = response.status_code
        if status == 416:  # the server knows no such range: what is here is of no use
            part.unlink(missing_ok=True)
            raise Interrupted("the server refuses to resume")
        if 400 <= status < 500 and status not in LASTING:
            raise InputError(f"{url}: the server answers HTTP {status} ({response.reason}); {remedy(url)}")
        if status not in (200, 206):
            raise Interrupted(f"HTTP {status} ({response.reason})")
        start = (
            have
            if status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            else 0
        )
        if status == 206 and start != have:
            part.unlink(missing_ok=True)
            raise Interrupted("the server resumed at another byte")
        bar = tqdm(
            total=size, initial=start, unit="B", unit_scale=True, desc=part.name[1:-5], disable=not progress
        )
        with opened(part, "ab" if start else "wb") as file, bar:
            # read1 gives what has arrived: when the connection breaks, nothing that came is lost
            try:
                while file.tell() <= size and (block := response.raw.read1(CHUNK, decode_content=False)):
                    file.write(block)
                    bar.update(len(block))
            except HTTPError as error:
                raise Interrupted(f"the connection broke after {file.tell()} of {size} bytes") from error
    found = part.stat().st_size
    if found < size:
        raise Interrupted(f"the connection ended after {found} of {size} bytes")
    return start > 0


@contextlib.contextmanager
def opened(part: Path, mode: str) -> Iterator[BinaryIO]:
    """The file under way; what the disk refuses (no space, no permission) is one clear line."""
    try:
        with open(part, mode) as file:
            yield file
    except OSError as error:
        raise InputError(
            f"{part}: cannot be written ({error.strerror}); make room or correct the folder"
        ) from error
