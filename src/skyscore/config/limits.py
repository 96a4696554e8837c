"""Limits that both the planning of a run and its jobs know."""

__all__ = ["DECOMPOSED_PIXELS"]

#: pixels of a convergence map whose operator is decomposed unless the configuration says otherwise: the time grows as
#: their cube
DECOMPOSED_PIXELS = 64**2
