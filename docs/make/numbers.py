"""Numbers in the documentation, filled from recorded runs.

A number in a page stands between two comments, `<!-- demo:lens/mmps/chi2_dof:.2f -->1.03<!-- -->`: the record it comes
from, its key there, and its format. The format is that of Python, or `yes`, which writes "yes" or "no".

Records are flat JSON files in docs/results/: copies of the numbers.json of a run with its provenance. Three more are
read where they lie: results/bench.json (`bench`), the sizes in config/datasets.tsv (`datasets`), and what was written
into the files of weights/ when they were trained (`weights`). A number is typed nowhere: a test fails if a page and its
record differ.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open

from skyscore.config.datasets import read_table

from . import gallery

__all__ = ["effort", "filled", "flat", "gather", "marks", "records", "trainings"]

ROOT = Path(__file__).resolve().parents[2]
QUOTE = re.compile(r"(<!-- (?P<record>\w+):(?P<key>[^: ]+):(?P<format>\S+) -->)(?P<text>.*?)(<!-- -->)")
ORIGIN = ("git_revision", "git_dirty", "config_hash", "seed", "date", "versions", "hardware")


# ---------------------------------------------------------------------------- from records to text


def written(number: float, form: str) -> str:
    """The number in a format of Python, or as "yes" or "no" in the format `yes`."""
    return ("yes" if number else "no") if form == "yes" else format(number, form)


def filled(text: str, known: Mapping[str, Mapping[str, float]]) -> str:
    """The text with every quoted number as its record has it.

    Raises:
        KeyError: for a number that no record holds.
    """

    def number(match: re.Match) -> str:
        name, key = match["record"], match["key"]
        if key not in known.get(name, {}):
            raise KeyError(
                f"{name}:{key} is quoted, but docs/results/{name}.json does not hold it; run it again"
            )
        return f"{match[1]}{written(known[name][key], match['format'])}{match[6]}"

    return QUOTE.sub(number, text)


def marks(text: str) -> str:
    """The text with each `[[record:key:format]]` as the two comments between which its number goes."""
    return re.sub(r"\[\[(.+?)\]\]", r"<!-- \1 --><!-- -->", text)


# ---------------------------------------------------------------------------- what is recorded


def flat(node: dict, path: str = "") -> dict[str, float]:
    """Nested numbers as one flat dictionary, keys joined by slashes."""
    found: dict[str, float] = {}
    for key, value in node.items():
        if isinstance(value, dict) and key != "provenance":
            found |= flat(value, f"{path}{key}/")
        elif isinstance(value, int | float):
            found[f"{path}{key}"] = value
    return found


def downloads(root: Path = ROOT) -> dict[str, float]:
    """The files that a job downloads by itself: how many `files`, how many `megabytes`."""
    table = read_table(root / "config" / "datasets.tsv", "config/datasets.tsv")
    sizes = [row["bytes"] for row in table if row["fetch"] == "auto"]
    return {"files": len(sizes), "megabytes": sum(sizes) / 1e6}


def trainings(root: Path = ROOT) -> dict[str, float]:
    """For each file of weights: `hours` of its training on the processor that made it, `steps`, and last `loss`."""
    found: dict[str, float] = {}
    for path in sorted((root / "weights").glob("*.safetensors")):
        with safe_open(path, "np") as weights:
            kept = {
                key: json.loads(text)
                for key, text in weights.metadata().items()
                if key in ("provenance", "record")
            }
        numbers = kept.get("record", {}) | {"hours": kept["provenance"]["wall_time_s"] / 3600}
        found |= {f"{path.stem}/{key}": value for key, value in numbers.items()}
    return found


def records(root: Path = ROOT) -> dict[str, dict[str, float]]:
    """All records by name."""
    paths = [*sorted((root / "docs" / "results").glob("*.json")), root / "results" / "bench.json"]
    found = {path.stem: flat(json.loads(path.read_text())) for path in paths if path.exists()}
    return found | {"datasets": downloads(root), "weights": trainings(root)}


# ---------------------------------------------------------------------------- from runs to records


def effort(root: Path, name: str) -> dict[str, float]:
    """What a run took, read where it was made: `run/minutes`, and for each rule the seconds and memory of its largest
    job.

    The minutes run from the start of the first job to the end of the last, as Snakemake remembers them. A job that was
    repeated later, or a pause, makes them more, never fewer. `run/<rule>/s` and `run/<rule>/mb` come from the
    benchmarks of the run.
    """
    jobs = (json.loads(path.read_text()) for path in (root / ".snakemake" / "metadata").glob("*"))
    own = [job for job in jobs if any(f"results/{name}/" in path for path in job["log"])]
    found: dict[str, float] = {}
    if own:
        seconds = max(job["endtime"] for job in own) - min(job["starttime"] for job in own)
        found["run/minutes"] = seconds / 60
    benchmarks = root / "results" / name / "benchmarks"
    for path in benchmarks.rglob("*.tsv"):
        rule = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        for row in csv.DictReader(path.read_text().splitlines(), delimiter="\t"):
            for key, column in (("s", "s"), ("mb", "max_rss")):
                if row[column] not in ("-", "NA"):  # a job of less than a second
                    place = f"run/{rule}/{key}"
                    found[place] = max(found.get(place, 0.0), float(row[column]))
    return found


def gather(root: Path = ROOT) -> None:
    """Copies numbers, provenance, effort and pictures of the runs in results/ into docs/."""
    for source in sorted((root / "results").glob("*/numbers.json")):
        name = source.parent.name
        if name == "test":
            continue
        run = json.loads((source.parent / "provenance.json").read_text())["run"]
        record(root, name, json.loads(source.read_text()) | effort(root, name), run)
        compared = source.parent / "samplers_all.json"  # of the target `samplers`
        if name == "demo" and compared.exists():
            content = json.loads(compared.read_text())
            record(root, "samplers", content["numbers"], content["provenance"])
        for figure in gallery.pictures(name):
            if (source.parent / "figures" / figure).exists():
                shutil.copyfile(source.parent / "figures" / figure, root / "docs" / "images" / figure)


def record(root: Path, name: str, numbers: dict, origin: dict) -> None:
    """Writes the numbers of a run to docs/results, with the part of its provenance that says where they come from."""
    content = numbers | {"provenance": {key: origin[key] for key in ORIGIN if key in origin}}
    (root / "docs" / "results" / f"{name}.json").write_text(
        json.dumps(content, indent=1, sort_keys=True) + "\n"
    )
