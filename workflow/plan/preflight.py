"""Before the first job: can every file that a run needs be had? If not, all that is missing is said at once.

Uses the standard library only, since it runs where Snakemake does, outside the environments of the rules.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from skyscore.config.mirror import mirrored

__all__ = ["MissingFiles", "require"]

Row = Mapping[str, Any]


class MissingFiles(Exception):
    """Files that cannot be had. The message says why and lists each with its size and address."""


def require(rows: Sequence[Row], mirror: str | Path | None = None, timeout: float = 10.0) -> None:
    """Check that the files of `rows` (of datasets.tsv) are in the mirror, or that their hosts answer.

    Arguments:
        rows: with `url`, `bytes` (None where unknown), `fetch` ("auto", or "manual" for files that no job fetches by
            itself) and `source`.
        mirror: folder that holds them as <host>/<path>; None means the network.
        timeout: longest wait for a host [s]; all hosts are asked at once.

    Raises:
        MissingFiles: naming every file that cannot be had.
    """
    if mirror is not None:
        absent = [row for row in rows if not mirrored(row["url"], mirror).is_file()]
        if absent:
            raise MissingFiles(
                listing(absent, f"not in the mirror {mirror}", f"put them there, as {mirror}/<host>/<path>")
            )
        return
    remedy = (
        "get them where there is a network, and name their folder with --config mirror=DIR "
        "(files as DIR/<host>/<path>)"
    )
    silent = unanswered({urlsplit(row["url"]).netloc: row["url"] for row in rows if fetched(row)}, timeout)
    absent = [row for row in rows if fetched(row) and urlsplit(row["url"]).netloc in silent]
    if absent:
        why = "; ".join(f"{host} does not answer ({reason})" for host, reason in sorted(silent.items()))
        raise MissingFiles(listing(absent + [row for row in rows if not fetched(row)], why, remedy))
    by_hand = [row for row in rows if not fetched(row)]
    if by_hand:
        raise MissingFiles(
            listing(by_hand, "not fetched by the workflow (see `fetch` in config/datasets.tsv)", remedy)
        )


def fetched(row: Row) -> bool:
    """Does a job fetch this file by itself?"""
    return bool(row.get("fetch", "auto") == "auto")


def listing(rows: Sequence[Row], why: str, remedy: str) -> str:
    """One line of what is wrong, a line for each file, one line of what to do."""
    count = "1 file is" if len(rows) == 1 else f"{len(rows)} files are"
    known = [row["bytes"] for row in rows if row.get("bytes")]
    total = f", {sum(known):,} bytes" + (" and more" if len(known) < len(rows) else "")
    lines = [f"{count} missing{total}: {why}. Nothing was started. Missing:"]
    for row in rows:
        size = f"{row['bytes']:,} bytes" if row.get("bytes") else "size unknown"
        note = "" if fetched(row) else f"  (by hand: {row['source']})"
        lines.append(f"  {size:>20}  {row['url']}{note}")
    return "\n".join([*lines, remedy])


def unanswered(addresses: Mapping[str, str], timeout: float) -> dict[str, str]:
    """Hosts (host: an address there) that give no answer over HTTP, with the reason; any answer is one.

    Each is asked twice, the second time for a byte of the file: a few answer no question about a file.
    """

    def ask(url: str) -> str | None:
        reason = ""
        for method, headers in (("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
            try:
                request = urllib.request.Request(url, method=method, headers=headers)
                urllib.request.urlopen(request, timeout=timeout).close()
                return None
            except urllib.error.HTTPError:
                return None
            except (OSError, HTTPException) as error:  # URLError among them; a proxy's refusal too
                reason = " ".join(str(getattr(error, "reason", error)).split())[:120]
        return reason

    with ThreadPoolExecutor(max_workers=16) as pool:
        found = dict(zip(addresses, pool.map(ask, addresses.values()), strict=True))
    return {host: reason for host, reason in found.items() if reason is not None}
