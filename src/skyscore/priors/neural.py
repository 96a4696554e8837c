r"""A learned prior: a denoising network with its settings and its record inside one safetensors file.

.. math:: \nabla \log p_\sigma(x) = \frac{D(x, \sigma) - x}{\sigma^2}
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from skyscore import io
from skyscore.compute.batches import Batch
from skyscore.diffusion.network import Denoiser, placed
from skyscore.diffusion.schedule import geometric, multistep

__all__ = ["NeuralPrior"]


def fastest(device: torch.device) -> str:
    """The precision that the hardware is fastest in: bfloat16 where it is native, or else float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"


class NeuralPrior:
    """Creates a prior from a trained denoiser.

    Arguments:
        model: the denoiser of images of shape `(1, H, W)`.
        metadata: text by name, kept in the file: `settings` (JSON: what decides the weights), `record`, `provenance`.
        precision: of the network inside, "float32" or "bfloat16" (D itself is float32: its error is then some 1e-3
            of sigma, that of the network's output); by default the latter where the hardware has it.
    """

    #: levels between which the prior is used: white noise to 1 per cent above, pure image below, in its faintest
    #: parts too
    sigma_max, sigma_min = 20.0, 0.001
    kind = "neural"

    def __init__(self, model: Denoiser, metadata: dict[str, str] | None = None, precision: str | None = None):
        self.model = model.eval().requires_grad_(False)
        self.metadata = dict(metadata or {})
        self.precision = precision or fastest(next(iter(model.state_dict().values())).device)

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
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
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

        Each costs `steps` evaluations, and one more serves all.

        The starting noise of all images is drawn first: the images do not depend on the batch size, to rounding.
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

        They are N(E[x0], sigma_max^2); around zero instead, N(0, sigma_max^2), they would end too faint.
        """
        device = next(self.model.parameters()).device
        centre = self.denoise(torch.zeros(1, *self.shape, device=device), self.sigma_max)
        z = torch.randn(n, *self.shape, generator=generator, device=generator.device)
        return centre + self.sigma_max * z.to(device)

    def save(self, path: str | Path) -> None:
        """Writes weights (half precision: rounding to 5e-4, far below what training leaves), settings and record."""
        about = {**self.metadata, "kind": self.kind, "architecture": json.dumps(self.about())}
        io.write_weights(path, self.tensors(), about)

    def about(self) -> dict:
        """What the network is built from, but for its tensors."""
        return {
            "pixels": self.model.pixels,
            "sigma_data": self.model.sigma_data,
            "network": self.model.network,
        }

    def tensors(self) -> dict[str, Tensor]:
        """What the file holds, by name."""
        return {name: t.half() for name, t in self.model.state_dict().items()}

    @staticmethod
    def build(about: dict, tensors: dict[str, Tensor]) -> Denoiser:
        """The network that a file describes, before its weights are put in."""
        return Denoiser(about["pixels"], about["sigma_data"], about["network"])

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> NeuralPrior:
        """Reads a prior that `save` wrote.

        Raises:
            InputError: if the file is no safetensors file, or its weights are not those of its architecture.
        """
        tensors, metadata = io.read_weights(path)
        try:
            about = json.loads(metadata.pop("architecture"))
            model = cls.build(about, tensors)
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
        return cls(placed(model, device), metadata)
