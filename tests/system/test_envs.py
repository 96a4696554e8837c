"""The conda environments: every pin equals the lock, and each rule's environment holds all that its script imports.

Not tested here: that the pins exist on conda-forge and resolve together, which needs a network and conda.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# where the names differ: conda -> pip, and import -> pip
CONDA = {"matplotlib-base": "matplotlib", "pytorch": "torch"}
IMPORTS = {"yaml": "pyyaml"}
UNPINNED = {"python", "pip"}  # the language and its installer, which the lock does not hold


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return {
        normal(n): v for n, v in (line.split("==") for line in lines if line and not line.startswith("#"))
    }


def pins(path: Path) -> dict[str, str]:
    """{pip name: version} of an environment; fails on anything that is not one exact version."""
    found = {}
    for item in yaml.safe_load(path.read_text())["dependencies"]:
        specs = item["pip"] if isinstance(item, dict) else [item]
        for spec in specs:
            name, _, version = re.fullmatch(r"([\w.-]+)(\s*==\s*([\w.]+)|\s*=\s*3\.\d+)?", spec).groups()
            if name in UNPINNED:
                continue
            assert version, f"{path.name}: {spec} is not pinned to one version"
            found[normal(CONDA.get(name, name))] = version
    return found


def test_the_lock_is_plain():
    lock = locked()
    assert lock["torch"] == "2.13.0"  # no local suffix: the index gives the CUDA build where there is one
    assert all(re.fullmatch(r"[\w.]+", version) for version in lock.values())


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment(path):
    content = yaml.safe_load(path.read_text())
    assert set(content) == {"channels", "dependencies"}
    assert content["channels"] == ["conda-forge", "nodefaults"]
    lock = locked()
    for name, version in pins(path).items():
        assert lock.get(name) == version, f"{path.name}: {name} {version}, but the lock says {lock.get(name)}"


# ---------------------------------------------------------------------------- what a script imports


@cache
def module_path(name: str) -> Path | None:
    """File of a module of the library, None for a module that is not ours."""
    base = SOURCE / Path(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if name.split(".")[0] == "skyscore" and path.exists():
            return path
    return None


class Scan:
    """Collects the third-party packages that a module needs, late imports inside the functions it uses included.

    A function of a module counts only if it is reached: `io` imports torch in the functions that return tensors, and a
    download job calls none of those. What stands at the head of a module always counts: a name imported there runs the
    other module's head, but its definition counts only where the name is used. A package's `__init__` that hands names
    on uses none of them.
    """

    def __init__(self):
        self.packages: set[str] = set()
        self.seen: set[tuple[str, str | None]] = set()

    def module(self, name: str, used: str | None = None) -> None:
        """Scan a module of the library; only the definition `used`, and what it refers to, or all of them if None."""
        path = module_path(name)
        if path is None or (name, used) in self.seen:
            return
        self.seen.add((name, used))
        parent = name.rpartition(".")[0]
        if parent:
            self.module(parent, "")  # importing a module runs its package's __init__
        text = path.read_text()
        if (
            path.name == "__init__.py" and "import_module" in text
        ):  # a package that imports all that lies in it
            for other in path.parent.glob("[!_]*.py"):
                self.module(f"{name}.{other.stem}")
        self.tree(ast.parse(text), name, path.name == "__init__.py", used)

    def tree(self, tree: ast.Module, name: str, package: bool, used: str | None) -> None:
        definitions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        head = [node for node in tree.body if node not in definitions.values()]
        names = self.nodes(head, name, package)
        wanted = set(definitions) if used is None else {used} & set(definitions)
        # what the module's own statements call, such as a registry built from classes
        wanted |= {n.id for node in head for n in ast.walk(node) if isinstance(n, ast.Name)} & set(
            definitions
        )
        for handed_on in names if used is None else [used]:  # names that are re-exported from another module
            for target in names.get(handed_on, ()):
                self.module(*target)
        done: set[str] = set()
        while wanted - done:
            key = (wanted - done).pop()
            done.add(key)
            self.nodes([definitions[key]], name, package, names)
            wanted |= {n.id for n in ast.walk(definitions[key]) if isinstance(n, ast.Name)} & set(definitions)

    def nodes(self, nodes, name, package, outer=None) -> dict[str, list[tuple[str, str | None]]]:
        """Imports in the given statements, followed as far as their names are used in them."""
        bound: dict[str, list[tuple[str, str | None]]] = dict(outer or {})
        for node in (n for top in nodes for n in self.walk(top)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported(alias.name, None)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parts = name.split(".") if package else name.split(".")[:-1]
                    parts = parts[: len(parts) - (node.level - 1)]
                    base = ".".join([*parts, base] if base else parts)
                for alias in node.names:
                    whole = f"{base}.{alias.name}"
                    target = (whole, "") if module_path(whole) else (base, alias.name)
                    self.imported(target[0], "" if outer is None else target[1])
                    bound.setdefault(alias.asname or alias.name, []).append(target)
        for node in (n for top in nodes for n in self.walk(top)):
            if isinstance(node, ast.Name):
                for module, what in bound.get(node.id, ()):
                    self.module(module, what)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                for module, what in bound.get(node.value.id, ()):
                    if what == "":
                        self.module(module, node.attr)
        return bound

    def walk(self, node: ast.AST):
        """All nodes below, without what only a type checker reads."""
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        yield node
        for child in ast.iter_child_nodes(node):
            yield from self.walk(child)

    def imported(self, module: str, what: str | None) -> None:
        root = module.split(".")[0]
        if root == "skyscore":
            self.module(module, what)
        elif root not in sys.stdlib_module_names:
            self.packages.add(normal(IMPORTS.get(root, root)))


def needs(script: Path) -> set[str]:
    scan = Scan()
    scan.tree(ast.parse(script.read_text()), "script", False, None)
    return scan.packages


def rules() -> list[tuple[str, Path, Path]]:
    """(rule, environment, script) of every rule with a script."""
    found = []
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for block in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            paths = [re.search(rf'{key}:\s+"([^"]+)"', block) for key in ("conda", "script")]
            found.append((block.split(":")[0], *((path.parent / match[1]).resolve() for match in paths)))
    return found


@pytest.mark.parametrize(
    ("rule", "environment", "script"), rules(), ids=lambda value: str(value).rsplit("/", 1)[-1]
)
def test_environment_holds_what_the_script_imports(rule, environment, script):
    assert script.stem == rule, "a script is named as its rule"
    assert environment in ENVIRONMENTS
    missing = needs(script) - set(pins(environment))
    assert not missing, f"{environment.name} lacks {sorted(missing)}, which {script.name} imports"


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment_holds_nothing_in_vain(path):
    used = set().union(*(needs(script) for _, environment, script in rules() if environment == path))
    assert set(pins(path)) <= used, f"{path.name}: nothing imports {sorted(set(pins(path)) - used)}"


def test_every_script_belongs_to_a_rule():
    assert {path.stem for path in SOURCE.glob("*.py")} == {script.stem for *_, script in rules()}


def test_the_scan_sees_late_imports():
    scan = Scan()
    scan.module("skyscore.io", "read_fits")
    assert "astropy" in scan.packages
    assert "torch" not in scan.packages
    scan.module("skyscore.io", "generator")
    assert "torch" in scan.packages
