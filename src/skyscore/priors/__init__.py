"""Priors p(x), each given by a denoiser D(x, sigma) = E[x0 | x0 + sigma z = x]."""

from pathlib import Path

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


def load_prior(path: str | Path, device: str = "cpu") -> NeuralPrior | MomentsPrior:
    """Reads a learned prior from a weights file; its metadata name the kind (`neural` by default).

    Raises:
        InputError: if the file is not a weights file, or its kind is unknown.
    """
    from skyscore import io

    known: tuple[type[NeuralPrior] | type[MomentsPrior], ...] = (
        NeuralPrior,
        HybridPrior,
        PrincipalPrior,
        FieldPrior,
        MomentsPrior,
    )
    kinds = {item.kind: item for item in known}
    kind = io.read_weights(path)[1].get("kind", "neural")
    if kind not in kinds:
        raise io.InputError(
            f"{path}: unknown kind of prior {kind!r} (known: {', '.join(kinds)}); train it again with this version"
        )
    return kinds[kind].load(path, device)
