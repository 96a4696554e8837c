"""Units: angles in radians and the speed of light. Signs, axes and Fourier conventions: docs, page Conventions."""

from __future__ import annotations

import math

__all__ = ["ARCMIN", "ARCSEC", "SPEED_OF_LIGHT"]

#: one arcsecond in radians
ARCSEC = math.pi / 180 / 3600
#: one arcminute in radians
ARCMIN = math.pi / 180 / 60
#: m / s
SPEED_OF_LIGHT = 299792458.0
