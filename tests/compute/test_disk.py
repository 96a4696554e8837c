"""Messages about a full disk and about a folder that cannot be written."""

from __future__ import annotations

import errno

import pytest

from skyscore.compute.disk import remedy, unwritable


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    assert unwritable(tmp_path / "new" / "deep") is None
    assert not (tmp_path / "new").exists()
    said = unwritable("/proc/self")  # takes no files, not even from root
    assert said.startswith("/proc/self: cannot be written (") and "make it writable" in said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_needs_room(number):
    assert remedy(number).startswith("make room")
