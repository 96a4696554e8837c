"""Noise laws p(y | x): Gaussian (diagonal, correlated, masked); learned ones (SLIC) join here."""

from .gaussian import GaussianLikelihood, Spectrum, compress, from_spectrum

__all__ = ["GaussianLikelihood", "Spectrum", "compress", "from_spectrum"]
