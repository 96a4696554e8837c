"""Frames that cannot be used: each is refused in one line that names the file."""

import numpy as np
import pytest

from skyscore import io
from skyscore.problems.hst.observed import observe_hst
from tests.helpers.frames import DEC, RA, changed, settings


def holed(v):
    v[55, 55] = np.nan
    return v


@pytest.mark.parametrize(
    ("role", "change", "cards", "message"),
    [
        ("f160w", holed, {}, r"1 bad pixels in the stamp"),
        (
            "f160w_weight",
            lambda v: holed(v) * 0 + (np.indices(v.shape)[0] != 54),
            {},
            r"bad pixels in the stamp",
        ),
        ("f160w_weight", lambda v: v[:-1], {}, r"\(110, 110\) is expected"),
        (
            "f160w",
            lambda v: v,
            {"CDELT1": -0.05 / 3600},
            r"pixels of 0\.0\d+ arcsec, but the setting data_scale is 0\.06; correct data_scale",
        ),
        ("f160w", lambda v: v, {"CTYPE1": "", "CTYPE2": ""}, r"world coordinates"),
        ("f150w", lambda v: v, {"CROTA2": 5.0}, r"rotated by -?5\.0. degrees"),
        ("f150w", lambda v: v, {"CRVAL1": RA + 0.0009}, r"does not contain the 32 pixels"),
        ("f160w_psf", lambda v: v[:-1], {}, r"not a point-spread function"),
        ("f160w_psf", lambda v: -v, {}, r"not a point-spread function"),
        ("f150w_psf", lambda v: v * 0 + 1, {}, r"check psf_scales"),
    ],
)
def test_files_that_cannot_be_used(files, role, change, cards, message):
    changed(files, role, change, **cards)
    with pytest.raises(io.InputError, match=message) as error:
        observe_hst(settings(), files, 32)
    assert f"{role.removesuffix('_weight')}" in str(error.value) and "\n" not in str(error.value)


def test_positions_and_roles_that_are_not_there(files):
    for position in ([RA + 0.001, DEC], [RA + 180, -DEC]):
        with pytest.raises(io.InputError, match=r"f160w\.fits: .*position"):
            observe_hst(settings(position=position), files, 32)
    for role in ("f160w", "f150w", "f160w_psf"):
        with pytest.raises(io.InputError, match=rf"no file for '{role}'.*datasets\.tsv"):
            observe_hst(settings(), {k: v for k, v in files.items() if k != role}, 32)
