"""A stand-in for conda, for tests only: it links environments out of the installed one and seals them from it.

It answers the calls that Snakemake makes. `conda env create` makes a virtual environment and links into it the files of
the distributions that the YAML names, and of those that their metadata require, and nothing else. This takes seconds
and needs no network. tests/helpers/environments.py maps conda's names to pip's. Every pin must be the version that is
installed.

Snakemake appends its own search path to that of every Python script, so a package that an environment lacks would come
from Snakemake's environment without a word. Environments made here look there only for Snakemake's own modules, which
its preamble imports. With real conda a missing package may not fail; here it does.

It does not imitate channels, the solver, packages that are no Python distributions, and compiled variants.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSION = "26.1.0"  # that it reports; Snakemake asks for 24.7.1 or newer

SEAL = '''"""Made by the stand-in for conda: hides the packages that only Snakemake's own environment holds."""

import os
import sys
from importlib.machinery import PathFinder
from importlib.metadata import DistributionFinder

LENT = {lent!r}


def own(path):
    return [place for place in path if not (place + os.sep).startswith(LENT)]


class Sealed(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if path is None and name != "snakemake" and not name.startswith("snakemake_interface_"):
            path = own(sys.path)
        return PathFinder.find_spec(name, path, target)

    @staticmethod
    def find_distributions(context=DistributionFinder.Context()):
        context = DistributionFinder.Context(name=context.name, path=own(context.path))
        return PathFinder.find_distributions(context)


sys.meta_path[sys.meta_path.index(PathFinder)] = Sealed
'''


class Refused(Exception):
    """conda would refuse this; the message is the line that it would print."""


def closure(names: set[str]) -> dict[str, metadata.Distribution]:
    """The installed distributions of these names and of all they require on this machine.

    Raises:
        Refused: one of them is not installed.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, metadata.Distribution] = {}
    wanted = [canonicalize_name(name) for name in names]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            raise Refused(f"PackagesNotFoundError: {name} is not installed; run `make test` once") from error
        for requirement in map(Requirement, found[name].requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(canonicalize_name(requirement.name))
    return found


def link(distribution: metadata.Distribution, folder: Path) -> None:
    """Link each file that a distribution put into site-packages into another such folder; its commands are left out."""
    made: set[Path] = set()
    for file in distribution.files or ():
        if ".." in file.parts:
            continue
        target = folder / file
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        if not target.exists():  # several distributions may own one file
            os.symlink(distribution.locate_file(file), target)


def create(file: Path, prefix: Path) -> None:
    """The environment that a YAML file describes, at `prefix`.

    Raises:
        Refused: another Python, a pin that is not the version installed, or a package that is not installed.
    """
    import yaml

    sys.path.insert(0, str(HERE.parents[2]))
    from tests.helpers.environments import pins

    python = f"python ={sys.version_info.major}.{sys.version_info.minor}"
    if python not in yaml.safe_load(file.read_text())["dependencies"]:
        raise Refused(f"UnsatisfiableError: {file.name} does not ask for {python}, the only one here")
    wanted = pins(file)
    held = closure(set(wanted))
    for name, version in wanted.items():
        if held[name].version.partition("+")[0] != version:
            raise Refused(
                f"UnsatisfiableError: {name} {version} is asked for, {held[name].version} is installed"
            )
    venv.EnvBuilder(symlinks=True, with_pip=False).create(prefix)
    folder = Path(sysconfig.get_path("purelib", "venv", {"base": str(prefix), "platbase": str(prefix)}))
    for distribution in held.values():
        link(distribution, folder)
    lent = tuple({sysconfig.get_path(kind) + os.sep for kind in ("purelib", "platlib")})
    (folder / "sealed.py").write_text(SEAL.format(lent=lent))
    # not sitecustomize: that of Debian's Python comes before any environment's
    (folder / "sealed.pth").write_text("import sealed\n")
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta" / "history").touch()


def option(arguments: list[str], name: str) -> Path:
    return Path(arguments[arguments.index(name) + 1])


def main(arguments: list[str]) -> None:
    match arguments:
        case ["--version"]:
            print("conda", VERSION)
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(HERE), "platform": "linux-64", "conda_version": VERSION}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *rest]:
            try:
                create(option(rest, "--file"), option(rest, "--prefix"))
            except (Refused, ValueError) as error:
                sys.exit(f"{error}")
        case ["clean", *_]:
            pass
        case _:
            sys.exit(f"the stand-in for conda does not know: conda {' '.join(arguments)}")
