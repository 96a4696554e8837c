"""Downloads files: retries with back-off, resumes, and verifies a file before it takes its place.

Each file is a job of its own, so files are downloaded in parallel on as many cores as the workflow has. A partial file
is kept beside its destination as `.<name>.part`, so an interrupted download continues where it stopped, in this run or
the next. Size and SHA-256 are verified before the file is renamed: no partial or wrong file appears in its place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from skyscore.checksums import digest_of
from skyscore.config.mirror import mirrored

from . import InputError, flush

__all__ = ["download"]

CHUNK = 1 << 18
LASTING = {408, 425, 429}  # client errors that are temporary: timeout, too early, too many requests


class Interrupted(Exception):
    """An attempt failed in a way that another attempt may not."""


def verify(path: Path, url: str, sha256: str | None, size: int | None, origin: str) -> None:
    """Checks that the file at `path` has the size and checksum of the table, where these are known.

    Raises:
        InputError: if it does not.
    """
    found = path.stat().st_size
    if size is not None and found != size:
        raise InputError(f"{origin}: {found} bytes where {size} are expected; {remedy(url)}")
    digest = digest_of(path)
    if sha256 is None:
        print(
            f"{origin}: accepted without verification, {found} bytes; to pin it, write its SHA-256 into the table: "
            f"{digest}"
        )
    elif digest != sha256:
        raise InputError(
            f"{origin}: wrong checksum, SHA-256 {digest[:16]}... where {sha256[:16]}... is expected; {remedy(url)}"
        )


def remedy(url: str) -> str:
    """What a user can do about a file that cannot be downloaded."""
    parts = urlsplit(url)
    return (
        f"get the right file as DIR/{parts.netloc}{parts.path} and name the folder with --config mirror=DIR"
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
    """Puts the file of `url` at `path`, verified.

    Arguments:
        url: address (http or https).
        path: destination.
        sha256: its SHA-256, hexadecimal; None if unknown, which is allowed for files of a mirror only.
        size: its size [byte]; None as for `sha256`.
        mirror: folder that holds the file as <host>/<path>; None downloads from the network.
        attempts: number of attempts.
        backoff: wait before the second attempt [s]; it doubles with each attempt, up to a minute.
        timeout: longest silence of the server [s].
        progress: whether a progress bar is shown.

    Raises:
        InputError: one line that names the address, the fault and the remedy.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    if mirror is not None:
        source = mirrored(url, mirror)
        if not source.is_file():
            raise InputError(f"{source}: not in the mirror; put the file of {url} there or omit `mirror`")
        shutil.copyfile(source, part)
        try:
            verify(part, url, sha256, size, str(source))
        except InputError:
            part.unlink()
            raise
    elif sha256 is None or size is None:
        raise InputError(f"{url}: size or checksum is unknown, so the file is not downloaded; {remedy(url)}")
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
    """Downloads the complete, verified file to `part`."""
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
            if not resumed:  # the file came in one piece: another attempt would give the same
                raise
            reason = "the resumed file has a wrong checksum; starting again from the first byte"
    raise InputError(
        f"{url}: download failed after {attempts} attempt(s) ({reason}); try again later, or {remedy(url)}"
    )


def summary(error: Exception) -> str:
    """One line for an error of the network."""
    if isinstance(error, Interrupted):
        return str(error)
    return f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"


def receive(url: str, part: Path, size: int, timeout: float, progress: bool) -> bool:
    """One request for the missing part of `part`.

    Returns:
        Whether it continued from bytes of an earlier attempt.
    """
    have = part.stat().st_size if part.exists() else 0
    if have >= size:  # complete but unverified: verify it; too long: download it again
        if have == size:
            return True
        have = 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=timeout)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise InputError(f"{url}: not a valid address; correct it in config/datasets.tsv") from error
    except requests.TooManyRedirects as error:
        raise InputError(f"{url}: the server redirects in a loop; {remedy(url)}") from error
    with response:
        status = response.status_code
        if status == 416:  # the server does not know this range: the partial file is useless
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
            raise Interrupted("the server resumed at a different byte")
        bar = tqdm(
            total=size, initial=start, unit="B", unit_scale=True, desc=part.name[1:-5], disable=not progress
        )
        with opened(part, "ab" if start else "wb") as file, bar:
            # read1 returns the bytes that have arrived, so that none are lost when the connection breaks
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
def opened(part: Path, mode: str) -> Iterator[IO[bytes]]:
    """Opens the partial file; a refusal of the disk (no space, no permission) becomes one clear line.

    Raises:
        InputError: if the file cannot be written.
    """
    try:
        with open(part, mode) as file:
            yield file
    except OSError as error:
        raise InputError(
            f"{part}: cannot be written ({error.strerror}); free space or correct the folder"
        ) from error
