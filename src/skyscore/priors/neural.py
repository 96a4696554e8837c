r"""A learned prior: a denoising network, stored with its settings and record in one safetensors file.

.. math:: \nabla \log p_\sigma(x) = \frac{D(x, \sigma) - x}{\sigma^2}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from skyscore import io
from skyscore.compute.batches import Batch
from skyscore.compute.precision import autocast, pick_precision
from skyscore.diffusion.network import Denoiser, placed
from skyscore.diffusion.schedule import geometric, multistep
from skyscore.statistics.moments import Moments

__all__ = ["NeuralPrior"]

KEPT = "moments."  # prefix of the names of tensors that hold moments


class NeuralPrior:
    """The prior of a trained denoiser.

    Arguments:
        model: the denoiser of images of shape `(1, H, W)`.
        metadata: text by name, stored in the file: `settings` (JSON: those that determine the weights), `record`,
            `provenance`.
        kept: moments of the training images, stored in the file; None for a kind whose own tensors give them.
        precision: precision inside the network, "float32" or "bfloat16". D itself is float32; with bfloat16 its
            error is about 1e-3 of sigma, that of the network's output. By default bfloat16 if the hardware supports
            it.
    """

    #: range of noise levels, in prior units; at sigma_max an image is white noise to 1 per cent, at sigma_min its noise
    #: is below even its faintest parts
    sigma_max, sigma_min = 20.0, 0.001
    #: precision in which samplers run
    dtype = torch.float32
    kind = "neural"
    model: Any  # the denoiser of the kind

    def __init__(
        self,
        model: nn.Module,
        metadata: dict[str, str] | None = None,
        precision: str | None = None,
        kept: Moments | None = None,
    ):
        self.model = model.eval().requires_grad_(False)
        self.metadata, self.kept = dict(metadata or {}), kept
        self.precision = pick_precision(precision or "auto", self.device).name

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, self.model.pixels, self.model.pixels)

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(iter(self.model.state_dict().values())).device

    @property
    def config(self) -> dict:
        """The settings that determined the weights."""
        return json.loads(self.metadata.get("settings", "{}"))

    def moments(self) -> Moments:
        """Moments of the training images, which determine the flux scale of an observation.

        Raises:
            InputError: if the file has no moments, as files of plain networks from before version 0.2.
        """
        if self.kept is None:
            raise io.InputError(
                "this prior has no moments of its training images, which determine the flux scale of an observation; "
                "give moments=moments_of(images), for example of prior.sample(1000), or train the prior again"
            )
        return self.kept

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x0 | x0 + sigma z = x], shape of x, `(B, 1, H, W)`; sigma is a number or has shape `(B,)`."""
        sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x.device).expand(len(x))
        with autocast(x.device, self.precision):
            return self.model(x.float(), sigma).to(x.dtype)

    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        *,
        steps: int = 40,
        batch: int = 250,
        progress: bool = False,
    ) -> Tensor:
        """n independent images of shape `(n, 1, H, W)` by :func:`skyscore.diffusion.schedule.multistep`.

        Each image costs `steps` evaluations, and one more evaluation serves all images.

        The starting noise of all images is drawn first, so that the images do not depend on the batch size, up to
        rounding.
        """
        device = next(self.model.parameters()).device
        generator = generator or torch.Generator(device).manual_seed(0)
        sigmas, x = geometric(steps, self.sigma_max, self.sigma_min), self.start(n, generator).to(device)

        def drawn(size: int) -> Tensor:
            images = []
            with torch.no_grad(), tqdm(total=n, desc="prior samples", disable=not progress) as bar:
                for part in x.split(size):
                    images.append(multistep(self.denoise, part, sigmas))
                    bar.update(len(part))
            return torch.cat(images)

        return Batch(batch, "samples of the prior").run(drawn, n)

    def start(self, n: int, generator: torch.Generator) -> Tensor:
        """Images at the first level, `(n, 1, H, W)`.

        They follow N(E[x0], sigma_max^2). With a start from N(0, sigma_max^2) the images would be too faint.
        """
        device = next(self.model.parameters()).device
        centre = self.denoise(torch.zeros(1, *self.shape, device=device), self.sigma_max)
        z = torch.randn(n, *self.shape, generator=generator, device=generator.device)
        return centre + self.sigma_max * z.to(device)

    def save(self, path: str | Path) -> None:
        """Writes weights, settings and record to a file.

        Weights are in half precision: the rounding error of 5e-4 is far below the error of training.
        """
        about = {**self.metadata, "kind": self.kind, "architecture": json.dumps(self.about())}
        io.write_weights(path, {**self.tensors(), **stored(self.kept)}, about)

    def about(self) -> dict:
        """The constructor arguments of the network, except tensors."""
        return {
            "pixels": self.model.pixels,
            "sigma_data": self.model.sigma_data,
            "network": self.model.network,
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that are stored in the file, by name."""
        return {name: t.half() for name, t in self.model.state_dict().items()}

    @staticmethod
    def build(about: dict, tensors: dict[str, Tensor]) -> nn.Module:
        """The network that a file describes, before its weights are loaded."""
        return Denoiser(about["pixels"], about["sigma_data"], about["network"])

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> NeuralPrior:
        """Reads a prior that `save` wrote.

        Raises:
            InputError: if the file is not a safetensors file, or its weights do not fit its architecture.
        """
        tensors, metadata = io.read_weights(path)
        try:
            about = json.loads(metadata.pop("architecture"))
            kept = taken(tensors)
            model = cls.build(about, tensors)
            model.load_state_dict(tensors)
        except KeyError as error:
            raise io.InputError(
                f"{path}: no weights of a skyscore prior (metadata {error} is missing); train it with rule train_prior"
            ) from error
        except (RuntimeError, TypeError, ValueError) as error:
            first = str(error).strip().splitlines()[-1].strip()
            raise io.InputError(
                f"{path}: weights do not fit their architecture ({first}); train the prior with --config train=true"
            ) from error
        return cls(placed(model, device), metadata, kept=kept)


def stored(moments: Moments | None) -> dict[str, Tensor]:
    """Tensors that hold moments in a file, with the components in half precision."""
    if moments is None:
        return {}
    held = {
        name: torch.as_tensor(value).float() for name, value in moments._asdict().items() if value is not None
    }
    return {f"{KEPT}{name}": t.half() if name == "components" else t for name, t in held.items()}


def taken(tensors: dict[str, Tensor]) -> Moments | None:
    """Removes the moments from the tensors of a file and returns them; None if there are none."""
    names = [name for name in tensors if name.startswith(KEPT)]
    found = {name.removeprefix(KEPT): tensors.pop(name).double().numpy() for name in names}
    if not found:
        return None
    residual = float(found.pop("residual"))
    return Moments(residual=residual, **found)
