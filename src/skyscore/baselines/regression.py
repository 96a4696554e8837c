r"""Direct regression: a network trained on pairs of images and data returns the posterior mean, and nothing else.

.. math:: \hat x = W b + \sigma_d \, F_\theta(W b / \sigma_d, \, b / \sigma_b), \qquad b = A^\top \Sigma^{-1} y, \qquad
    \theta = \arg\min_\theta E_{x, n} \| \hat x(y = A x + n) - x \|^2

The inputs of the network are the Wiener map and the back-projected data, and its initial state is the Wiener filter.
The minimum of the mean squared error over all functions is the posterior mean under the distribution of the training
images. The network learns the mask and noise of one observation, so another observation needs another network. It does
not depend on the signs of singular vectors, which differ between machines.

Reference: Jeffrey et al. (2020), "DeepMass", arXiv:1908.00543 (on the Wiener map; mean square error).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from skyscore import io
from skyscore.diffusion.network import UNet
from skyscore.diffusion.training import symmetry
from skyscore.likelihoods.gaussian import Spectrum

from .wiener import factors

__all__ = ["Regression", "train_regression"]

NETWORK: dict[str, Any] = {"patch": 2, "channels": [32, 64], "blocks": 1, "attention": 8}


class Regression(torch.nn.Module):
    """Creates the network for one observation; untrained, it is the Wiener filter.

    Arguments:
        filter: W, `(D, D)`, applied to back-projected data b.
        scales: standard deviations of the images' pixels and of b.
        side: pixels on a side of the image.
    """

    filter: Tensor

    def __init__(self, filter: Tensor, scales: tuple[float, float], side: int):
        super().__init__()
        self.side, self.scales = side, tuple(scales)
        self.net = UNet(side, **NETWORK, inputs=2)
        torch.nn.init.zeros_(self.net.head.bias)  # type: ignore[arg-type]  # it has one
        self.register_buffer("filter", filter.float())

    def forward(self, b: Tensor) -> Tensor:
        """Images `(B, 1, H, W)` in prior units, given back-projected data `(B, D)`."""
        shape, (signal, back) = (len(b), 1, self.side, self.side), self.scales
        first, second = (v.reshape(shape) for v in (b.float() @ self.filter.T, b.float()))
        F = self.net(torch.cat([first / signal, second / back], 1), torch.zeros(len(b), device=b.device))
        return first + signal * F

    def save(self, path: str | Path, metadata: dict[str, str] | None = None) -> None:
        """Writes weights and settings as safetensors."""
        about = {"side": self.side, "scales": self.scales}
        io.write_weights(path, self.state_dict(), {**(metadata or {}), "regression": json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path) -> Regression:
        """Reads a network written by `save`.

        Raises:
            InputError: for a file that holds none.
        """
        tensors, metadata = io.read_weights(path)
        if "regression" not in metadata:
            raise io.InputError(f"{path}: contains no regression network; delete it and run again")
        about = json.loads(metadata["regression"])
        model = cls(tensors["filter"], about["scales"], about["side"])
        model.load_state_dict(tensors)
        return model.eval().requires_grad_(False)


def train_regression(
    images: Tensor,
    spectrum: Spectrum,
    covariance: Tensor,
    steps: int,
    seed: int,
    batch: int = 32,
    learning_rate: float = 2e-3,
    progress: bool = False,
) -> Regression:
    """A network trained on `images` `(N, 1, H, W)` in prior units.

    At every step the images are turned or mirrored at random and get fresh noise.

    Arguments:
        spectrum: of the likelihood of the observation; the network is trained and returned on its device.
        covariance: `(D, D)` of the images, of zero mean, for the Wiener map.
        steps: training steps.
        seed: of initial weights, images and noise.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    V, s, device = spectrum.V.double(), spectrum.s.double(), spectrum.V.device
    C = covariance.to(V)
    CW, L = factors(V, s, C)
    # x = W b is the posterior mean and W the posterior covariance; d = s V' x + n has covariance L L', and b = V s d
    filter = C - CW @ torch.cholesky_solve(CW.T, L)
    back = float((s * L.T).square().sum() / len(V)) ** 0.5
    model = Regression(filter, (float(images.std()), back), images.shape[-1]).to(device)
    del C, CW, L, filter
    optimizer = torch.optim.Adam(model.net.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=max(steps, 1), pct_start=0.1
    )
    Vs = (V * s).float()
    for _ in tqdm(range(steps), desc="regression", disable=not progress):
        x = symmetry(images[torch.randint(len(images), (batch,), generator=generator)].float(), generator)
        noise = torch.randn(len(x), len(s), generator=generator)
        x, noise = x.to(device), noise.to(device)
        loss = (model((x.flatten(1) @ Vs + noise) @ Vs.T) - x).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)
