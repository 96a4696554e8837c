"""skyscore: score-based Bayesian imaging in astrophysics.

A *prior* is a denoiser. A *likelihood* is a forward operator with a noise law. A *sampler* turns both into posterior
*samples*.

    y = A x + n,    grad log p(x|y) = grad log p(y|x) + grad log p(x)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .observing import observe

__all__ = ["__version__", "observe"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`observe`, imported when it is first asked for: it needs torch, and `import skyscore` does not."""
    if name == "observe":
        from .observing import observe

        return observe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
