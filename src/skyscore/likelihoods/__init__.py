"""Noise laws p(y | x): Gaussian (diagonal, correlated, masked), and learned ones (SLIC), which have a score alone."""

from .gaussian import GaussianLikelihood, Spectrum, compress, from_spectrum
from .matrix_free import IsometricLikelihood
from .score import ScoreLikelihood, noise_score

__all__ = [
    "GaussianLikelihood",
    "IsometricLikelihood",
    "ScoreLikelihood",
    "Spectrum",
    "compress",
    "from_spectrum",
    "noise_score",
]
