"""Posterior samplers: `sample(name, prior, likelihood, n, ...)`.

Each sampler is one file in the folder of its family: `guidance`, `splitting`, `chains`, `particles`,
`variational`, and `learned_noise` for likelihoods that have a score but no density.
"""

from .base import Samples
from .registry import SAMPLERS
from .sampling import create, options_of, sample, sample_problem, skipped

__all__ = ["SAMPLERS", "Samples", "create", "options_of", "sample", "sample_problem", "skipped"]
