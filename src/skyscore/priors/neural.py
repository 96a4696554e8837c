r"""A learned prior: a denoising network with its settings and its record inside one safetensors file.

.. math:: \nabla \log p_\sigma(x) = \frac{D(x, \sigma) - x}{\sigma^2}
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from .. import io
from ..diffusion.network import Denoiser
from ..diffusion.schedule import heun, karras

__all__ = ["NeuralPrior"]


class NeuralPrior:
    """Creates a prior from a trained denoiser.

    Arguments:
        model: the denoiser of images of shape `(1, H, W)`.
        metadata: text by name, kept in the file: `settings` (JSON: what decides the weights), `record`, `provenance`.
    """

    def __init__(self, model: Denoiser, metadata: dict[str, str] | None = None):
        self.model = model.eval().requires_grad_(False)
        self.metadata = dict(metadata or {})

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, self.model.pixels, self.model.pixels)

    @property
    def config(self) -> dict:
        """The settings that decided the weights."""
        return json.loads(self.metadata.get("settings", "{}"))

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x0 | x0 + sigma z = x], shape of x = `(B, 1, H, W)`; sigma a number or of shape `(B,)`."""
        sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x.device).expand(len(x))
        return self.model(x.float(), sigma).to(x.dtype)

    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        *,
        steps: int = 18,
        sigma_max: float = 40.0,
        sigma_min: float = 0.005,
        batch: int = 250,
        progress: bool = False,
    ) -> Tensor:
        """n independent images of shape `(n, 1, H, W)` by Heun's method, `2 * steps - 1` evaluations each.

        The starting noise of all images is drawn first: the images do not depend on the batch size, to rounding.
        """
        device = next(self.model.parameters()).device
        generator = generator or torch.Generator(device).manual_seed(0)
        start = sigma_max * torch.randn(n, *self.shape, generator=generator, device=generator.device)
        sigmas, images = karras(steps, sigma_max, sigma_min), []
        with torch.no_grad(), tqdm(total=n, desc="prior samples", disable=not progress) as bar:
            for x in start.to(device).split(batch):
                images.append(heun(self.denoise, x, sigmas))
                bar.update(len(x))
        return torch.cat(images)

    def save(self, path: str | Path) -> None:
        """Writes weights, settings and record to one file."""
        about = {"pixels": self.model.pixels, "sigma_data": self.model.sigma_data, "network": self.model.network}
        io.write_weights(path, self.model.state_dict(), {**self.metadata, "architecture": json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> NeuralPrior:
        """Reads a prior that `save` wrote.

        Raises:
            InputError: if the file is no safetensors file, or its weights are not those of its architecture.
        """
        tensors, metadata = io.read_weights(path)
        try:
            about = json.loads(metadata.pop("architecture"))
            model = Denoiser(about["pixels"], about["sigma_data"], about["network"])
            model.load_state_dict(tensors)
        except KeyError as error:
            raise io.InputError(
                f"{path}: no weights of a skyscore prior (metadata {error} is absent); train it with rule train_prior"
            ) from error
        except (RuntimeError, TypeError, ValueError) as error:
            first = str(error).strip().splitlines()[-1].strip()
            raise io.InputError(
                f"{path}: weights do not fit their architecture ({first}); train them again with --config train=true"
            ) from error
        return cls(model.to(device).to(memory_format=torch.channels_last), metadata)
