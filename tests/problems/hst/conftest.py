"""Frames that tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.frames import write_frames


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return write_frames(tmp_path)
