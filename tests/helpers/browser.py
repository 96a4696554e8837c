"""A page in headless Chromium: what a script reads in it, and what its console calls errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

from .workflow import LIMIT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--window-size=1300,900",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # a page that needs a network is found out
)
# put before all else in a page: keeps what the console shows as errors
LISTENER = """<script>
const complaints = [];
const heard = console.error;
console.error = (...words) => { complaints.push(words.join(" ")); heard(...words); };
addEventListener("error", event => complaints.push(event.message || `not loaded: ${event.target.outerHTML}`), true);
addEventListener("unhandledrejection", event => complaints.push(String(event.reason)));
</script>"""
READER = """<script>(async () => {
if (document.readyState != "complete") await new Promise(done => addEventListener("load", done));
SCRIPT
})().catch(error => ({failed: String(error)})).then(found =>
fetch("/found", {method: "POST", body: JSON.stringify([found, complaints])}));
</script>"""


class Handler(BaseHTTPRequestHandler):
    """Gives the page, takes what was found in it; knows nothing else."""

    def do_GET(self):
        if self.path == "/page.html":
            self.answer(200, self.server.page)
        else:
            self.answer(204 if self.path == "/favicon.ico" else 404)

    def do_POST(self):
        self.server.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(204)

    def answer(self, status: int, body: bytes = b""):
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def browse(page: Path, script: str, folder: Path, timeout: float = LIMIT) -> tuple[object, list[str]]:
    """What `script` (the body of an asynchronous function) returns in the page, and what the console calls errors:
    scripts that throw, what they report as errors, and what does not load.

    The page comes from a server on this machine, which has no other file; so it must hold all that it shows.

    Arguments:
        page: an HTML file with a head.
        folder: an empty one, for the browser's profile.
        timeout: longest wait [s].

    Raises:
        queue.Empty: the script did not end.
    """
    text = page.read_text()
    assert "<head>" in text
    text = text.replace("<head>", "<head>" + LISTENER, 1) + READER.replace("SCRIPT", script)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.page, server.found = text.encode(), Queue()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/page.html"
        process = subprocess.Popen(
            [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", address],
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


# Snakemake's report: its first page, then each result as a reader opens it, its description on the left, its image on
# the right
REPORT = """
const turn = () => new Promise(done => setTimeout(done, 50));
const until = async condition => {
  for (let i = 0; !condition(); i++) { if (i > 1200) throw Error(`never: ${condition}`); await turn(); }
};
await until(() => document.querySelector("#app .prose table"));
const wide = [...document.querySelectorAll("#app .prose table")].map(t => t.scrollWidth - t.parentElement.clientWidth);
const found = {
  home: document.querySelector("#app").innerText,
  overflow: Math.max(...wide),
  top: document.querySelector("#app .prose").getBoundingClientRect().top,
  results: {},
};
for (const [path, result] of Object.entries(results)) {
  app.showCategory(Object.keys(categories).find(name => Object.values(categories[name]).flat().includes(path)));
  app.showResultInfo(path);
  const wanted = Object.assign(document.createElement("div"), {innerHTML: result.caption}).innerHTML;
  await until(() => document.querySelector("#app .prose-invert")?.innerHTML === wanted);
  const page = {caption: document.querySelector("#app .prose-invert").innerText, labels: result.labels};
  const eye = document.querySelector("#app table a, #app table button");
  if (result.mime_type.startsWith("image/")) {
    eye.click();
    const drawn = () => [...document.querySelectorAll("#app img")].find(image => image.src === result.data_uri);
    await until(drawn);
    const image = drawn();
    await image.decode();
    page.size = [image.naturalWidth, image.naturalHeight];
  } else {
    page.text = await (await fetch(eye.href)).text();
  }
  found.results[path] = page;
}
return found;
"""
