"""Downloads against a server that fails in the ways servers do."""

from __future__ import annotations

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from skyscore.config.mirror import mirrored
from skyscore.io import InputError
from skyscore.io.download import download
from tests.helpers.workflow import LIMIT

CONTENT = np.random.default_rng(1).bytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; the server's `faults` are used up one per request, its `requests` note the Range asked for."""

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.requests.append(asked)
        fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, int):
            self.send_error(fault)
            return
        if isinstance(fault, str) and fault.startswith("redirect"):
            self.send_response(302)
            self.send_header("Location", fault.partition(" ")[2] or "/elsewhere/file.fits")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = CONTENT if fault != "wrong" else bytes(len(CONTENT))
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if fault == "shifted":  # answers a range, but another one
            start = max(start - 1, 0)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        part = body[start:]
        if fault == "silent":  # half of it, and then nothing for longer than the client waits
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.server.hung_up.wait(LIMIT)
        elif fault == "slow":  # all of it, piece by piece
            for at in range(0, len(part), 10_000):
                self.wfile.write(part[at : at + 10_000])
                self.wfile.flush()
                time.sleep(0.3)
        else:
            self.wfile.write(part[: len(part) // 2] if fault == "cut" else part)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.faults, server.requests, server.ranges = [], [], True
    server.hung_up = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/a/file.fits"
    yield server
    server.hung_up.set()
    server.shutdown()
    server.server_close()


def fetch(server, path, **options):
    options = {"sha256": SHA256, "size": len(CONTENT), "backoff": 0.01, "progress": False, **options}
    download(server.url, path, **options)


def test_plain(server, tmp_path):
    fetch(server, tmp_path / "file.fits")
    assert (tmp_path / "file.fits").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file.fits"]


@pytest.mark.parametrize(
    "faults", [[500], [503, 429, 502], ["cut"], ["cut", 500, "cut"], ["cut", 416], ["cut", "shifted"]]
)
def test_passing_faults_are_overcome(server, tmp_path, faults):
    server.faults = list(faults)
    fetch(server, tmp_path / "file.fits")
    assert (tmp_path / "file.fits").read_bytes() == CONTENT
    assert len(server.requests) == len(faults) + 1


def test_resumes_where_it_stopped(server, tmp_path):
    server.faults = ["cut"]
    fetch(server, tmp_path / "file.fits")
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_slow_server_is_waited_for(server, tmp_path):
    """3 s for the file, with pauses of 0.3 s; the timeout of 2 s is that of a pause: one request."""
    server.faults = ["slow"]
    fetch(server, tmp_path / "file.fits", timeout=2)
    assert (tmp_path / "file.fits").read_bytes() == CONTENT
    assert server.requests == [None]


def test_a_server_that_falls_silent_is_asked_again(server, tmp_path):
    server.faults = ["silent"]
    fetch(server, tmp_path / "file.fits", timeout=2)
    assert (tmp_path / "file.fits").read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-"]


def test_redirects_are_followed(server, tmp_path):
    server.faults = ["redirect", "cut", "redirect"]  # also when it resumes
    fetch(server, tmp_path / "file.fits")
    assert (tmp_path / "file.fits").read_bytes() == CONTENT
    assert server.requests == [None, None, *[f"bytes={len(CONTENT) // 2}-"] * 2]


@pytest.mark.parametrize(
    ("fault", "what"),
    [("redirect /a/file.fits", "redirects in a loop"), ("redirect gopher://host/", "not a valid address")],
)
def test_redirects_to_nowhere_end_at_once(server, tmp_path, fault, what):
    server.faults = [fault] * 50
    with pytest.raises(InputError) as error:
        fetch(server, tmp_path / "file.fits")
    assert_one_clear_line(error, server.url, what)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing(server, tmp_path):
    """A folder stands where the file under way should be written."""
    (tmp_path / ".file.fits.part").mkdir()
    with pytest.raises(InputError) as error:
        fetch(server, tmp_path / "file.fits")
    assert_one_clear_line(error, ".file.fits.part", "cannot be written")


def test_resumes_in_a_later_run(server, tmp_path):
    server.faults = ["cut"]
    with pytest.raises(InputError, match="after 1 attempt"):
        fetch(server, tmp_path / "file.fits", attempts=1)
    assert not (tmp_path / "file.fits").exists()
    fetch(server, tmp_path / "file.fits")
    assert server.requests[-1] == f"bytes={len(CONTENT) // 2}-"
    assert (tmp_path / "file.fits").read_bytes() == CONTENT


def test_server_without_ranges(server, tmp_path):
    server.ranges, server.faults = False, ["cut"]
    fetch(server, tmp_path / "file.fits")
    assert (tmp_path / "file.fits").read_bytes() == CONTENT


def test_stale_part_is_replaced(server, tmp_path):
    """The part of another version of the file cannot be completed: noticed by its checksum, fetched anew."""
    (tmp_path / ".file.fits.part").write_bytes(b"x" * 1000)
    fetch(server, tmp_path / "file.fits")
    assert (tmp_path / "file.fits").read_bytes() == CONTENT


def test_part_longer_than_the_file_is_replaced(server, tmp_path):
    (tmp_path / ".file.fits.part").write_bytes(b"x" * (len(CONTENT) + 1))
    fetch(server, tmp_path / "file.fits")
    assert (tmp_path / "file.fits").read_bytes() == CONTENT


def assert_one_clear_line(error, *parts):
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_wrong_bytes_are_refused_at_once(server, tmp_path):
    server.faults = ["wrong"]
    with pytest.raises(InputError) as error:
        fetch(server, tmp_path / "file.fits")
    assert_one_clear_line(error, server.url, "wrong checksum", "mirror=DIR")
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [403, 404, 410])
def test_lasting_faults_end_at_once(server, tmp_path, status):
    server.faults = [status]
    with pytest.raises(InputError) as error:
        fetch(server, tmp_path / "file.fits")
    assert_one_clear_line(error, server.url, str(status), "mirror=DIR")
    assert len(server.requests) == 1


def test_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(InputError) as error:
        download(
            "http://127.0.0.1:9/file", tmp_path / "file", SHA256, 10, attempts=2, backoff=0.01, progress=False
        )
    assert_one_clear_line(error, "http://127.0.0.1:9/file", "2 attempt", "ConnectionError", "mirror=DIR")
    assert list(tmp_path.iterdir()) == []


def test_mirror(tmp_path):
    url = "https://example.org/a/b%20c.fits"
    source = mirrored(url, tmp_path / "mirror")
    assert source == tmp_path / "mirror" / "example.org" / "a" / "b c.fits"
    source.parent.mkdir(parents=True)
    source.write_bytes(CONTENT)
    download(url, tmp_path / "out" / "file", SHA256, len(CONTENT), mirror=tmp_path / "mirror")
    assert (tmp_path / "out" / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "not in the mirror"), (b"short", "5 bytes where"), (bytes(100_000), "checksum")],
)
def test_mirror_with_a_wrong_file(tmp_path, content, what):
    url = "https://example.org/a/file.fits"
    source = mirrored(url, tmp_path / "mirror")
    source.parent.mkdir(parents=True)
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(InputError) as error:
        download(url, tmp_path / "out" / "file", SHA256, len(CONTENT), mirror=tmp_path / "mirror")
    assert_one_clear_line(error, str(source), what)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_of_unknown_checksum_comes_from_a_mirror_only(tmp_path, capsys):
    url = "https://example.org/a/file.fits"
    with pytest.raises(InputError) as error:
        download(url, tmp_path / "file", None, None)
    assert_one_clear_line(error, url, "checksum is unknown", "mirror=DIR")
    source = mirrored(url, tmp_path / "mirror")
    source.parent.mkdir(parents=True)
    source.write_bytes(CONTENT)
    download(url, tmp_path / "file", None, None, mirror=tmp_path / "mirror")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert SHA256 in capsys.readouterr().out  # what to pin
    with pytest.raises(InputError, match="100000 bytes where 3 are expected"):
        download(url, tmp_path / "other", None, 3, mirror=tmp_path / "mirror")
