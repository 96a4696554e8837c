r"""A parametric source: an elliptical Gaussian blob with six parameters, and its linearisation.

.. math:: M(\theta) = A \exp\!\Big[-\tfrac12 d^\top R \, d\Big], \qquad R = s^{-2} \exp \begin{pmatrix}
    2 e_1 & 2 e_2 \\ 2 e_2 & -2 e_1 \end{pmatrix}, \qquad d = (x - x_0, y - y_0)

with parameters :math:`\theta = (\ln A, x_0, y_0, \ln s, e_1, e_2)`. The matrix exponential keeps R positive for any
ellipticity. Samplers use :math:`u = (\theta - \theta_0) / \sigma_\theta`, whose prior is N(0, 1) in every component.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Blob", "Linearised", "fisher_root"]


class Blob:
    """Creates the model on `pixels` x `pixels`, with its centre in the middle.

    Arguments:
        amplitude: median of A under the prior, in units of the noise's core.
        size: median of s [pixel].
    """

    names = ("ln A", "x [px]", "y [px]", "ln s", "e1", "e2")
    scale = (0.4, 1.5, 1.5, 0.25, 0.15, 0.15)  # sigma of the prior

    def __init__(self, pixels: int, amplitude: float, size: float):
        self.middle = torch.tensor([amplitude, 1, 1, size, 1, 1], dtype=torch.float64).log()
        self.sigma = torch.tensor(self.scale, dtype=torch.float64)
        axis = torch.arange(pixels, dtype=torch.float64) - 0.5 * (pixels - 1)
        self.y, self.x = torch.meshgrid(axis, axis, indexing="ij")

    def parameters(self, u: Tensor) -> Tensor:
        """theta, in the shape of u, `(..., 6)`."""
        return self.middle.to(u) + self.sigma.to(u) * u

    def __call__(self, u: Tensor) -> Tensor:
        """Images `(B, h, w)` of u `(B, 6)`, differentiable."""
        log_a, x0, y0, log_s, e1, e2 = (p[:, None, None] for p in self.parameters(u).T)
        dx, dy = self.x.to(u) - x0, self.y.to(u) - y0
        e = (e1**2 + e2**2 + 1e-12).sqrt()  # the small term keeps it smooth for a round blob
        even, odd = torch.cosh(2 * e), torch.sinh(2 * e) / e
        form = even * (dx**2 + dy**2) + odd * (e1 * (dx**2 - dy**2) + 2 * e2 * dx * dy)
        return torch.exp(log_a - 0.5 * form * torch.exp(-2 * log_s))

    def jacobian(self, u: Tensor) -> Tensor:
        """dM/du, `(B, h, w, 6)`, computed column by column."""
        columns = [
            torch.func.jvp(self, (u,), (unit.expand_as(u),))[1] for unit in torch.eye(u.shape[1]).to(u)
        ]
        return torch.stack(columns, -1)


class Linearised:
    """Creates M(0) + J u, a model linearised at the prior's mean: under Gaussian noise its posterior is Gaussian."""

    def __init__(self, model: Blob):
        u = torch.zeros(1, len(model.names), dtype=torch.float64)
        self.names, self.start, self.J = model.names, model(u)[0], model.jacobian(u)[0]

    def __call__(self, u: Tensor) -> Tensor:
        """Images `(B, h, w)` of u `(B, D)`."""
        return self.start.to(u) + torch.einsum("hwd,bd->bhw", self.J.to(u), u)

    def jacobian(self, u: Tensor) -> Tensor:
        """dM/du, `(B, h, w, D)`, the same for all u."""
        return self.J.to(u).expand(len(u), *self.J.shape)


def fisher_root(model, u: Tensor, precision: Tensor) -> Tensor:
    """L with L L' = (J' P J + 1)^-1 at each u `(B, D)`, shape `(B, D, D)`: approximately the posterior covariance.

    Arguments:
        precision: P of the noise, `(M, M)`.
    """
    J = model.jacobian(u).flatten(1, 2)
    F = J.mT @ (precision.to(J) @ J) + torch.eye(u.shape[1]).to(J)
    return torch.linalg.cholesky(torch.linalg.inv(F))
