"""Validation of posteriors: coverage, moments, PQMass, residuals, certificates, and exact benchmarks.

The functions of this package work on arrays alone, except for the modules `exact` and `control`, which draw samples.
"""

from .mira import mira
from .pqmass import pqmass
from .tarp import tarp

__all__ = ["mira", "pqmass", "tarp"]
