"""The reference of the configuration: config/README.md, made from the schemas and from what the code offers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from skyscore.config.catalogue import dataset_kinds, problem_files, problem_kinds, sampler_options
from skyscore.config.schema import load_schema, resolved

__all__ = ["described"]


def rows_of(node: Mapping, root: Mapping, path: str = "") -> Iterator[tuple[str, str, str, str]]:
    node = resolved(node, root)
    if "properties" in node:
        for key, item in node["properties"].items():
            yield from rows_of(item, root, f"{path}.{key}" if path else key)
        return
    extra = node.get("additionalProperties")
    if isinstance(extra, Mapping):
        yield path, "", "", node.get("description", "")
        yield from rows_of(extra, root, f"{path}.<name>")
        return
    default = f"`{json.dumps(node['default'])}`" if "default" in node else "required"
    allowed = node.get("enum")
    text = node.get("description", "") + (
        f" One of {', '.join(f'`{json.dumps(i)}`' for i in allowed)}." if allowed else ""
    )
    yield path, default, node.get("unit", "-"), text


def table(rows: Iterator[tuple[str, str, str, str]]) -> str:
    lines = ["| key | default | unit | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{key}` | {default} | {unit} | {' '.join(text.split())} |" for key, default, unit, text in rows
    ]
    return "\n".join(lines)


def described() -> str:
    """The text of config/README.md: every key with its default, unit and meaning."""
    root = load_schema("config")
    parts = [
        "# Configuration",
        "",
        "<!-- made from the schemas by `python -m skyscore.config.settings`; do not edit -->",
        "",
    ]
    parts += [" ".join(root["description"].split()), "", table(rows_of(root, root))]
    for kind, node in sorted(dataset_kinds().items()):
        parts += ["", f"## Data sets of kind `{kind}`", "", f"Under `datasets.<name>.{kind}`:", ""]
        parts += [table(rows_of(node, root))]
    for kind, node in sorted(problem_kinds().items()):
        parts += ["", f"## Problems of kind `{kind}`", "", table(rows_of(node, root)), ""]
        parts += ["| role under `files` | what the file holds |", "| --- | --- |"]
        parts += [f"| `{role}` | {text} |" for role, text in problem_files()[kind].items()]
    parts += [
        "",
        "## Options of the samplers",
        "",
        "| sampler | option | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, options in sorted(sampler_options().items()):
        for key, about in options.items():
            parts.append(
                f"| `{name}` | `{key}` | `{json.dumps(about['default'])}` | {about['description']} |"
            )
    files = load_schema("datasets")
    parts += [
        "",
        "## Columns of datasets.tsv",
        "",
        " ".join(files["description"].split()),
        "",
        table(rows_of(files, files)),
    ]
    return "\n".join(parts) + "\n"
