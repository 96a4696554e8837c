"""skyscore: score-based Bayesian imaging of the sky.

Three nouns and a verb: a *prior* is a denoiser, a *likelihood* is a forward operator with a noise law, a *sampler*
turns the two into posterior *samples*.

    y = A x + n,    grad log p(x|y) = grad log p(y|x) + grad log p(x)
"""

__version__ = "0.1.0"
