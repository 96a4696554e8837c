"""Noise laws p(y | x): Gaussian (diagonal, correlated, masked), and learned ones (SLIC), which have a score alone."""

from .gaussian import GaussianLikelihood, Spectrum, compress, from_spectrum
from .score import ScoreLikelihood, noise_score

__all__ = ["GaussianLikelihood", "ScoreLikelihood", "Spectrum", "compress", "from_spectrum", "noise_score"]
