"""A folder of web pages in headless Chromium, served by this machine alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

from .browser import CHROMIUM, LISTENER, OPTIONS, READER
from .workflow import LIMIT

__all__ = ["visit"]


class Handler(SimpleHTTPRequestHandler):
    """Gives the files of the folder, the page with the script put into it, and takes what was found."""

    def do_GET(self) -> None:
        if self.path == self.server.address_of_page:
            self.answer(200, self.server.page, "text/html; charset=utf-8")
        elif self.path == "/favicon.ico":
            self.answer(204)
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self.server.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(204)

    def answer(self, status: int, body: bytes = b"", kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        pass


def visit(
    folder: Path, page: str, script: str, profile: Path, timeout: float = LIMIT
) -> tuple[object, list[str]]:
    """What `script` (the body of an asynchronous function) returns in a page, and what the console calls errors.

    Arguments:
        folder: the pages and all that they show; nothing else can be loaded.
        page: path of the page in it.
        profile: an empty folder for the browser.
        timeout: longest wait [s].

    Raises:
        queue.Empty: the script did not end.
    """
    text = (folder / page).read_text(encoding="utf-8")
    assert "<head>" in text and "</body>" in text
    text = text.replace("<head>", "<head>" + LISTENER, 1)
    text = text.replace("</body>", READER.replace("SCRIPT", script) + "</body>", 1)

    def handler(*arguments) -> Handler:
        return Handler(*arguments, directory=str(folder))

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.page, server.address_of_page, server.found = text.encode(), f"/{page}", Queue()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        process = subprocess.Popen(
            [
                CHROMIUM,
                *OPTIONS,
                f"--user-data-dir={profile}",
                f"http://127.0.0.1:{server.server_port}/{page}",
            ],
            env={**os.environ, "NO_PROXY": "127.0.0.1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            found, complaints = server.found.get(timeout=timeout)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the browser and its helpers, nothing else
            process.wait()
            server.shutdown()
    return found, complaints
