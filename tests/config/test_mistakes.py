"""What a run answers to a wrong configuration, and to files that are damaged, missing or not to be had."""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

from tests.helpers.plan import MIRRORED, table_rows
from tests.helpers.workflow import LIMIT, OVERLAYS, ROOT, clear_line


def test_unknown_key_in_an_overlay(snakemake, workflow):
    (workflow / "mine.yaml").write_text("problems:\n  lens:\n    n_sampels: 4\n")
    line = clear_line(snakemake("-n", "--configfile", "mine.yaml", cwd=workflow))
    assert line == (
        "skyscore: error: mine.yaml: problems.lens.n_sampels: unknown key 'n_sampels'; did you mean 'n_samples'?"
    )


def test_unknown_key_on_the_command_line(snakemake, workflow):
    line = clear_line(snakemake("-n", "--config", "miror=here", cwd=workflow))
    assert "--config: miror: unknown key 'miror'; did you mean 'mirror'?" in line


def test_unknown_keys_at_any_depth_on_the_command_line(snakemake, workflow):
    done = snakemake("-n", "--config", "problems={lens: {lens: {thetaE: 1.0}}}", cwd=workflow)
    assert clear_line(done) == (
        "skyscore: error: --config: problems.lens.lens.thetaE: unknown key 'thetaE'; did you mean 'theta_E'?"
    )


def test_unknown_name_of_a_block(snakemake, workflow):
    (workflow / "mine.yaml").write_text("problems:\n  lense:\n    n_samples: 4\n")
    line = clear_line(snakemake("-n", "--configfile", "mine.yaml", cwd=workflow))
    assert line.startswith("skyscore: error: mine.yaml: problems.lense: the key 'kind' is missing; ")
    assert line.endswith("; did you mean 'lens'?")


def test_unknown_sampler(snakemake, workflow):
    (workflow / "mine.yaml").write_text("samplers:\n  mmps:\n    name: mmsp\n")
    line = clear_line(snakemake("-n", "--configfile", "mine.yaml", cwd=workflow))
    assert "mine.yaml: samplers.mmps.name: there is no sampler 'mmsp'; did you mean 'mmps'?" in line


def test_data_set_without_rows(snakemake, workflow):
    (workflow / "mine.yaml").write_text("problems: {sdssj1430: {data: sdssj1340}}\n")
    done = snakemake("-n", "--configfile", "config/real.yaml", "mine.yaml", cwd=workflow)
    assert "config/datasets.tsv: no row for the dataset 'sdssj1340'" in clear_line(done)


def test_training_set_without_rows(snakemake, workflow):
    (workflow / "mine.yaml").write_text("datasets: {sky32: {data: [cosj100081]}}\n")
    done = snakemake("-n", "--configfile", "config/real.yaml", "mine.yaml", cwd=workflow)
    assert "no row for the dataset 'cosj100081' of training set 'sky32'" in clear_line(done)


def test_wrong_file_in_the_mirror(snakemake, workflow):
    """A job that fails on its input: one line on the terminal, no file in place, exit code not 0."""
    table = (workflow / "config" / "datasets.tsv").read_text().splitlines()
    for line in table[1:]:
        path = workflow / "mirror" / line.split("\t")[2].split("://")[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not this")
    done = snakemake("download", "--cores", "1", "--keep-going", *OVERLAYS["real"], *MIRRORED, cwd=workflow)
    assert done.returncode != 0
    lines = [
        line for line in done.stdout.splitlines() if "psf.fits: 8 bytes where 34560 are expected" in line
    ]
    assert lines
    assert "name the folder with --config mirror=DIR" in lines[0]
    assert not [path for path in (workflow / "data").rglob("*") if path.is_file()]


def cut_network(monkeypatch) -> None:
    """Every request goes to a proxy that is not there."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


def test_without_a_network_all_missing_files_are_listed_before_any_job(snakemake, workflow, monkeypatch):
    cut_network(monkeypatch)
    used = {
        p["data"] for p in yaml.safe_load((ROOT / "config" / "real.yaml").read_text())["problems"].values()
    }
    rows = [row for row in table_rows() if row["dataset"] in used]
    for _ in range(2):  # the second run finds no lock of the first
        done = snakemake("--cores", "1", *OVERLAYS["real"], cwd=workflow)
        assert f"{len(rows)} files are missing" in clear_line(done)
        for row in rows:
            assert re.search(rf"{int(row['bytes']):,} bytes +{re.escape(row['url'])}", done.stdout), row[
                "url"
            ]
        assert "--config mirror=DIR" in done.stdout
        assert not (workflow / "results").exists() and not (workflow / "data").exists()


def test_data_to_be_had_by_hand_say_so(snakemake, workflow):
    (workflow / "mine.yaml").write_text("problems: {sdssj1430: {data: galsimcosmos}}\n")
    done = snakemake(
        "real_lens", "--cores", "1", "--configfile", "config/real.yaml", "mine.yaml", *MIRRORED, cwd=workflow
    )
    assert "not in the mirror" in clear_line(done)
    assert "COSMOS_25.2_training_sample.tar.gz  (by hand: " in done.stdout
    file = "zenodo.org/record/3242143/files/COSMOS_25.2_training_sample.tar.gz"
    (workflow / "mirror" / file).parent.mkdir(parents=True)
    (workflow / "mirror" / file).write_bytes(b"fetched by hand")
    done = snakemake(f"data/{file}", "--cores", "1", *MIRRORED, cwd=workflow)
    assert done.returncode == 0, done.stdout
    assert (workflow / "data" / file).read_bytes() == b"fetched by hand"


class Together(BaseHTTPRequestHandler):
    """Answers nobody until as many have asked as the server expects; then everyone gets their own path."""

    def do_GET(self):
        try:
            self.server.barrier.wait(LIMIT)
        except threading.BrokenBarrierError:
            self.send_error(404)
            return
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_files_are_fetched_in_parallel(snakemake, workflow, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Together)
    server.barrier = threading.Barrier(3)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    header = (ROOT / "config" / "datasets.tsv").read_text().splitlines()[0]
    lines = [header]
    for name in ("a", "b", "c"):
        body = f"/{name}".encode()
        url, digest = f"http://127.0.0.1:{server.server_port}/{name}", hashlib.sha256(body).hexdigest()
        lines.append(
            "\t".join(["sdssj1430", name, url, digest, str(len(body)), "none", "none", "none", "auto"])
        )
    (workflow / "config" / "datasets.tsv").write_text("\n".join(lines) + "\n")
    done = snakemake("download", "--cores", "3", cwd=workflow)
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stdout
    there = {path.name for path in (workflow / "data").rglob("*") if path.is_file()}
    assert there == {name for file in "abc" for name in (file, f".{file}.sha256")}
