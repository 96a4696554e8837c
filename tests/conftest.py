"""Fixtures of all tests: the repository's root, a runner for Snakemake, a copy of the workflow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small arrays: threads cost more than they give
os.environ.setdefault("MPLBACKEND", "Agg")

from tests.helpers.workflow import ROOT, copy_workflow, run_snakemake


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with end-to-end runs come first: of processes side by side none waits long for another at the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def snakemake():
    return run_snakemake


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    return copy_workflow(tmp_path)
