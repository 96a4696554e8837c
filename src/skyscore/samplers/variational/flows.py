r"""RealNVP, a family of distributions that need not be Gaussian: affine couplings of a standard normal.

A coupling scales and shifts one half of the pixels by functions of the other half,

.. math:: b' = b \odot e^{\tanh s(a)} + t(a), \qquad a' = a

with s and t from one perceptron with two hidden layers. Its inverse is :math:`b = (b' - t(a)) \odot e^{-\tanh s(a)}`
and its log determinant is :math:`\sum \tanh s(a)`: a coupling changes no scale by more than a factor e. A block has
two couplings, one for each half, each after a scale and a shift of every pixel; after a block the pixels are
permuted at random. The last layer of every perceptron starts at zero, so that the flow starts as the identity, up to
the order of pixels.

References: Dinh et al. (2017), "Density estimation using Real NVP", arXiv:1605.08803; Sun & Bouman
(2021), "Deep Probabilistic Imaging", arXiv:2010.14462, and Feng et al. (2023), arXiv:2304.11751, whose code has this
network: couplings, bound of the scale, permutations, a width of an eighth of the pixels. Deviations: no batch
normalisation in the perceptrons, which would make a draw depend on the others of its batch; a scale and a shift for
each pixel (theirs: one of each for the image); no softplus at the end (theirs: where images are positive).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

__all__ = ["Coupling", "RealNVP"]


class Coupling:
    """An affine map of D pixels, then a coupling that scales and shifts the second half by functions of the first.

    Arguments:
        D: number of pixels; the first D // 2 stay fixed in the coupling, the others change.
        width: number of hidden units.
        generator: source of the initial weights.
        like: dtype and device.
    """

    def __init__(self, D: int, width: int, generator: torch.Generator, like: dict):
        self.half, rest = D // 2, D - D // 2
        self.log_scale = torch.zeros(D, **like, requires_grad=True)
        self.shift = torch.zeros(D, **like, requires_grad=True)
        self.layers = []
        for inputs, outputs in itertools.pairwise((self.half, width, width)):
            weight = torch.randn(outputs, inputs, generator=generator, **like) * math.sqrt(2 / inputs)
            self.layers.append((weight.requires_grad_(), torch.zeros(outputs, **like, requires_grad=True)))
        last = torch.zeros(2 * rest, width, **like, requires_grad=True)
        self.layers.append((last, torch.zeros(2 * rest, **like, requires_grad=True)))

    @property
    def parameters(self) -> list[Tensor]:
        return [self.log_scale, self.shift, *itertools.chain(*self.layers)]

    def read(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """tanh s and t of the first half `(B, D // 2)`, each `(B, D - D // 2)`."""
        *hidden, last = self.layers
        for weight, bias in hidden:
            a = nn.functional.leaky_relu(nn.functional.linear(a, weight, bias), 0.01)
        s, t = nn.functional.linear(a, *last).chunk(2, dim=1)
        return s.tanh(), t

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The image of z `(B, D)` and the log determinant there, `(B,)`."""
        a, b = (z * self.log_scale.exp() + self.shift).tensor_split([self.half], dim=1)
        s, t = self.read(a)
        return torch.cat([a, b * s.exp() + t], dim=1), s.sum(1) + self.log_scale.sum()

    def inverse(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The z with image w, both `(B, D)`, and the log determinant of the inverse, `(B,)`."""
        a, b = w.tensor_split([self.half], dim=1)
        s, t = self.read(a)
        z = torch.cat([a, (b - t) * (-s).exp()], dim=1)
        return (z - self.shift) * (-self.log_scale).exp(), -s.sum(1) - self.log_scale.sum()


class RealNVP:
    """The RealNVP flow.

    Arguments:
        D: number of pixels, at least two.
        blocks: number of blocks, of two couplings each.
        width: hidden units of the perceptrons.
        generator: source of the initial weights and of the permutations.
        like: dtype and device.

    Raises:
        ValueError: for an image of one pixel, which cannot be split into halves.
    """

    def __init__(self, D: int, blocks: int, width: int, generator: torch.Generator, like: dict):
        if D < 2:
            raise ValueError("realnvp: a flow couples pixels, but this image has only one; use family full")
        #: number of standard normal numbers per draw
        self.inputs = D
        self.couplings = [Coupling(D, width, generator, like) for _ in range(2 * blocks)]
        # the halves swap within a block; a block ends with a random permutation
        device = generator.device
        swap = torch.arange(D, device=device).roll(D - D // 2)
        shuffles = [torch.randperm(D, generator=generator, device=device) for _ in range(blocks)]
        self.orders = list(itertools.chain(*((swap, shuffle) for shuffle in shuffles)))
        self.parameters = list(itertools.chain(*(c.parameters for c in self.couplings)))

    def draw(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """w, given standard normal z, both `(n, D)`, and an unbiased estimate of the entropy in nats."""
        w, log_det = self.forward(z)
        return w, 0.5 * self.inputs * (1 + math.log(2 * math.pi)) + log_det.mean()

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """w, given standard normal z, both `(B, D)`, and log det dw/dz, `(B,)`."""
        total = z.new_zeros(len(z))
        for coupling, order in zip(self.couplings, self.orders, strict=True):
            z, log_det = coupling.forward(z)
            z, total = z[:, order], total + log_det
        return z, total

    def inverse(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """z, given w, both `(B, D)`, and log det dz/dw, `(B,)`."""
        total = w.new_zeros(len(w))
        for coupling, order in zip(self.couplings[::-1], self.orders[::-1], strict=True):
            w, log_det = coupling.inverse(w[:, order.argsort()])
            total = total + log_det
        return w, total

    def log_prob(self, w: Tensor) -> Tensor:
        """log q(w), `(B,)`, in nats."""
        z, log_det = self.inverse(w)
        return log_det - 0.5 * (z.square().sum(1) + self.inputs * math.log(2 * math.pi))
