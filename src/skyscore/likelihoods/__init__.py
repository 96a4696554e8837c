"""Noise laws p(y | x): Gaussian (diagonal, correlated, masked), or learned (SLIC), with a score but no density."""

from .gaussian import GaussianLikelihood, Spectrum, compress, from_spectrum
from .matrix_free import MatrixFreeLikelihood
from .score import ScoreLikelihood, noise_score

__all__ = [
    "GaussianLikelihood",
    "MatrixFreeLikelihood",
    "ScoreLikelihood",
    "Spectrum",
    "compress",
    "from_spectrum",
    "noise_score",
]
