"""Before the first job: all missing files are listed at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from plan.preflight import MissingFiles, require
from skyscore.config.mirror import mirrored

DEAD = "http://127.0.0.1:9/dead/file"  # nobody listens there


class Asked(BaseHTTPRequestHandler):
    """Answers questions about files; `methods` of the server notes them."""

    def do_HEAD(self):
        self.server.methods.append("HEAD")
        self.send_response(404)  # any answer is one
        self.end_headers()

    def do_GET(self):
        self.server.methods.append("GET")
        self.send_error(500)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
    server.methods, server.url = [], f"http://127.0.0.1:{server.server_port}/file"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """No proxy between this machine and itself."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def row(url: str, size: int | None = 1234567, fetch: str = "auto") -> dict:
    return {"url": url, "bytes": size, "fetch": fetch, "source": "the archive of example.org"}


def test_hosts_that_answer_are_enough(server):
    """One question for each host; nothing is fetched."""
    require([row(server.url), row(server.url + "2")])
    assert server.methods == ["HEAD"]


def test_all_that_is_missing_is_listed_at_once(server):
    rows = [
        row(server.url),
        row(DEAD),
        row(DEAD + "2", None),
        row("https://example.org/big.tar", None, "manual"),
    ]
    with pytest.raises(MissingFiles) as error:
        require(rows)
    head, *files, tail = str(error.value).splitlines()
    assert head.startswith("3 files are missing, 1,234,567 bytes and more: 127.0.0.1:9 does not answer (")
    assert [line.split()[-1] for line in files[:2]] == [DEAD, DEAD + "2"]
    assert "1,234,567 bytes" in files[0] and "size unknown" in files[1]
    assert files[2].endswith("https://example.org/big.tar  (by hand: the archive of example.org)")
    assert "--config mirror=DIR" in tail


def test_files_that_are_fetched_by_hand_are_never_asked_for():
    with pytest.raises(MissingFiles, match="not fetched by the workflow"):
        require([row(DEAD, fetch="manual")])


def test_what_a_mirror_lacks_is_listed(tmp_path):
    rows = [row("https://example.org/a"), row("https://example.org/b", fetch="manual")]
    mirrored(rows[0]["url"], tmp_path).parent.mkdir(parents=True)
    mirrored(rows[0]["url"], tmp_path).write_bytes(b"")
    with pytest.raises(MissingFiles) as error:
        require(rows, tmp_path)
    assert str(error.value).startswith("1 file is missing, 1,234,567 bytes: not in the mirror")
    assert "https://example.org/b" in str(error.value) and "https://example.org/a" not in str(error.value)
    mirrored(rows[1]["url"], tmp_path).write_bytes(b"")
    require(rows, tmp_path)
