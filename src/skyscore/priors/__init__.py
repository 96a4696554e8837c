"""Priors p(x), each a denoiser D(x, sigma) = E[x0 | x0 + sigma z = x]."""

from .field import FieldPrior
from .gaussian import GaussianPrior
from .hybrid import HybridPrior
from .mixture import GaussianMixturePrior
from .moments import MomentsPrior
from .neural import NeuralPrior
from .principal import PrincipalPrior

__all__ = [
    "FieldPrior",
    "GaussianMixturePrior",
    "GaussianPrior",
    "HybridPrior",
    "MomentsPrior",
    "NeuralPrior",
    "PrincipalPrior",
    "load_prior",
]


def load_prior(path, device: str = "cpu"):
    """The learned prior of a weights file, of the kind that its metadata name (`neural` where they name none).

    Raises:
        InputError: if the file is no weights file, or of a kind that does not exist.
    """
    from skyscore import io

    known = (NeuralPrior, HybridPrior, PrincipalPrior, FieldPrior, MomentsPrior)
    kinds = {item.kind: item for item in known}
    kind = io.read_weights(path)[1].get("kind", "neural")
    if kind not in kinds:
        raise io.InputError(f"{path}: holds a prior of kind {kind!r}; this version knows {', '.join(kinds)}")
    return kinds[kind].load(path, device)
