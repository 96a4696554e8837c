"""Priors p(x), each a denoiser D(x, sigma) = E[x0 | x0 + sigma z = x]."""

from .gaussian import GaussianPrior
from .mixture import GaussianMixturePrior
from .neural import NeuralPrior

__all__ = ["GaussianMixturePrior", "GaussianPrior", "NeuralPrior"]
