"""A page in headless Chromium: what a script reads in it, and what its console says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
COMMAND = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --window-size=1300,900 "
    "--virtual-time-budget=120000"
).split()
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"  # a page that needs a network is found out


# put before all else in a page: keeps what the console shows as errors
LISTENER = """<script>
const complaints = [];
const heard = console.error;
console.error = (...words) => { complaints.push(words.join(" ")); heard(...words); };
addEventListener("error", event => complaints.push(event.message || `not loaded: ${event.target.outerHTML}`), true);
addEventListener("unhandledrejection", event => complaints.push(String(event.reason)));
</script>"""


def browse(page: Path, script: str, folder: Path) -> tuple[object, list[str]]:
    """What `script` (the body of an asynchronous function) returns in the page, and what the console calls errors:
    scripts that throw, what they report as errors, and what does not load.

    Arguments:
        page: an HTML file; a copy of it is opened, with the script at its end.
        folder: an empty one, for the copy and the browser's profile.
    """
    wrapped = (
        "<script>(async () => {\n"
        'if (document.readyState != "complete") await new Promise(done => addEventListener("load", done));\n'
        + script
        + "\n})().catch(error => ({failed: String(error)})).then(found => {\n"
        'const pre = document.createElement("pre"); pre.id = "found";\n'
        "pre.textContent = JSON.stringify([found, complaints]);\n"
        "document.body.replaceChildren(pre); document.head.replaceChildren();\n});</script>"
    )
    copy = folder / "page.html"
    text = page.read_text()
    assert "<head>" in text
    copy.write_text(text.replace("<head>", "<head>" + LISTENER, 1) + wrapped)
    done = subprocess.run(
        [CHROMIUM, *COMMAND, OFFLINE, f"--user-data-dir={folder / 'profile'}", "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
    )
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    text = match[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    found, complaints = json.loads(text)
    return found, complaints


# Snakemake's report: its first page, then each result as a reader opens it, its description on the left, its image on
# the right
REPORT = """
const turn = () => new Promise(done => setTimeout(done, 50));
const until = async condition => {
  for (let i = 0; !condition(); i++) { if (i > 200) throw Error(`never: ${condition}`); await turn(); }
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
    await until(() => document.querySelector("#app img")?.src === result.data_uri);
    const image = document.querySelector("#app img");
    await image.decode();
    page.size = [image.naturalWidth, image.naturalHeight];
  } else {
    page.text = await (await fetch(eye.href)).text();
  }
  found.results[path] = page;
}
return found;
"""
