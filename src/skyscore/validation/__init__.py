"""Is the posterior right? Coverage, moments, PQMass, residuals, certificates; exact benchmarks.

The calls of this package work on arrays alone; `exact` and `control`, which sample, are modules of their own.
"""

from .mira import mira
from .pqmass import pqmass
from .tarp import tarp

__all__ = ["mira", "pqmass", "tarp"]
