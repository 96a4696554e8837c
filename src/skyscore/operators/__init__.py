"""Forward models A: linear maps from the unknown image to the data, each with its exact adjoint."""

from .base import LinearOperator, MatrixOperator, SpectralOperator

__all__ = ["LinearOperator", "MatrixOperator", "SpectralOperator"]
