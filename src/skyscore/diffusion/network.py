r"""The denoising network: a U-Net on patches of pixels, with EDM preconditioning.

.. math::
    D(x, \sigma) = c_\mathrm{skip} x + c_\mathrm{out} F(c_\mathrm{in} x, \tfrac14 \log \sigma), \quad
    c_\mathrm{skip} = \frac{\sigma_d^2}{\sigma^2 + \sigma_d^2}, \;
    c_\mathrm{out} = \frac{\sigma \sigma_d}{\sqrt{\sigma^2 + \sigma_d^2}}, \;
    c_\mathrm{in} = \frac{1}{\sqrt{\sigma^2 + \sigma_d^2}}

The embedding turns patches of p x p pixels into channels, so that all convolutions run on a grid that is p times
coarser. At equal cost the network is several times wider than one that convolves single pixels.

Reference: Karras et al. (2022), "Elucidating the Design Space of Diffusion-Based Generative Models",
arXiv:2206.00364, table 1.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Denoiser", "UNet", "placed", "unit_error"]

Model = TypeVar("Model", bound=nn.Module)


def layout(device: torch.device | str) -> torch.memory_format:
    """Memory format of the features: channels last on a GPU, for its tensor cores; contiguous on a CPU.

    Group norms are slow with channels last on a CPU.
    """
    return torch.channels_last if torch.device(device).type == "cuda" else torch.contiguous_format


def placed(model: Model, device: torch.device | str) -> Model:
    """The model on a device, with its weights in the memory format of the features there."""
    return model.to(device).to(memory_format=layout(device))  # type: ignore[call-overload]  # torch declares it not


class Block(nn.Module):
    """Residual block of two 3 x 3 convolutions, scaled and shifted by the noise level, with optional attention.

    Arguments:
        c_in, c_out: channels before and after.
        c_emb: channels of the noise embedding.
        heads: attention heads over all positions; 0 for no attention.
    """

    def __init__(self, c_in: int, c_out: int, c_emb: int, heads: int = 0):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, c_out, affine=False), nn.Conv2d(c_out, c_out, 3, padding=1)
        self.modulate = nn.Linear(c_emb, 2 * c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()
        self.heads = heads
        if heads:
            self.norm3, self.qkv = nn.GroupNorm(8, c_out), nn.Conv2d(c_out, 3 * c_out, 1)
            self.proj = nn.Conv2d(c_out, c_out, 1)
            nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulate(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.skip(x) + self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        if self.heads:
            B, C, H, W = h.shape
            qkv = self.qkv(self.norm3(h)).reshape(B, 3, self.heads, C // self.heads, H * W)
            # (B, heads, C / heads, H W); with so few positions a plain product is fastest
            q, k, v = qkv.unbind(1)
            a = torch.softmax(q.transpose(2, 3) @ k / math.sqrt(q.shape[2]), dim=-1)
            h = h + self.proj((v @ a.transpose(2, 3)).reshape(B, C, H, W))
        return h


class UNet(nn.Module):
    """The U-Net F.

    Arguments:
        pixels: pixels on a side of the image.
        patch: pixels on a side of a patch of the embedding.
        channels: channels of each level; each level halves the grid.
        blocks: residual blocks per level (one more on the way up).
        attention: grids with at most this many cells on a side use attention over all positions.
        inputs: number of input images; F returns one image.
    """

    freqs: Tensor
    grid: Tensor

    def __init__(
        self, pixels: int, patch: int, channels: list[int], blocks: int, attention: int, inputs: int = 1
    ):
        super().__init__()
        self.patch = patch
        c_emb, side = 4 * channels[0], pixels // patch
        freqs = torch.exp(torch.linspace(math.log(0.5), math.log(64.0), channels[0] // 2))
        self.register_buffer("freqs", freqs, persistent=False)
        self.embed = nn.Sequential(
            nn.Linear(channels[0], c_emb), nn.SiLU(), nn.Linear(c_emb, c_emb), nn.SiLU()
        )
        # two coordinate channels give the position: galaxies are centred, but convolutions do not know positions
        axis = (torch.arange(side) + 0.5) / side * 2 - 1
        self.register_buffer(
            "grid", torch.stack(torch.meshgrid(axis, axis, indexing="ij"))[None], persistent=False
        )
        self.stem = nn.Conv2d(inputs * patch**2 + 2, channels[0], 3, padding=1)

        def block(c_in, c_out, side):
            return Block(c_in, c_out, c_emb, heads=c_out // 32 if side <= attention else 0)

        self.down, self.pool, skips, c = nn.ModuleList(), nn.ModuleList(), [channels[0]], channels[0]
        for level, width in enumerate(channels):
            for _ in range(blocks):
                self.down.append(block(c, width, side))
                c = width
                skips.append(c)
            if level < len(channels) - 1:
                self.pool.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
                side //= 2
        self.middle = block(c, c, side)
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, width in reversed(list(enumerate(channels))):
            for _ in range(blocks + 1):
                self.up.append(block(c + skips.pop(), width, side))
                c = width
            if level:
                self.grow.append(nn.Conv2d(c, c, 3, padding=1))
                side *= 2
        self.blocks = blocks
        self.norm, self.head = nn.GroupNorm(8, c), nn.Conv2d(c, patch**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """F(x, noise) `(B, 1, H, W)`, given x `(B, inputs, H, W)` and noise = log(sigma) / 4 `(B,)`."""
        phase = noise[:, None] * self.freqs
        emb = self.embed(torch.cat([phase.cos(), phase.sin()], dim=1))
        h = F.pixel_unshuffle(x, self.patch)
        h = torch.cat([h, self.grid.to(h.dtype).expand(len(h), -1, -1, -1)], dim=1)
        h = self.stem(h.contiguous(memory_format=layout(h.device)))
        skips, pools, grows, up = [h], iter(self.pool), iter(self.grow), iter(self.up)
        for i, block in enumerate(self.down):
            if i and i % self.blocks == 0:
                h = next(pools)(h)
                skips.append(h)
            h = block(h, emb)
            skips.append(h)
        h = self.middle(h, emb)
        for i, block in enumerate(up):
            if i and i % (self.blocks + 1) == 0:
                h = next(grows)(F.interpolate(h, scale_factor=2.0, mode="nearest"))
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        return F.pixel_shuffle(self.head(F.silu(self.norm(h))), self.patch)


def unit_error(error: Tensor, sigma: Tensor, sigma_data: float) -> Tensor:
    """error / c_out, shape of the error; its mean square is the loss of Karras et al., 1 for an untrained network."""
    s = sigma.view(-1, 1, 1, 1)
    return error * (s**2 + sigma_data**2).sqrt() / (s * sigma_data)


class Denoiser(nn.Module):
    """The preconditioned denoiser D of images of shape `(1, pixels, pixels)`.

    Arguments:
        pixels: pixels on a side.
        sigma_data: standard deviation of the pixel values, in prior units.
        network: arguments of :class:`UNet`.
    """

    def __init__(self, pixels: int, sigma_data: float, network: dict):
        super().__init__()
        self.pixels, self.sigma_data, self.network = pixels, sigma_data, dict(network)
        self.net = UNet(pixels, **network)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x_0 | x_t = x], shape of x, `(B, 1, H, W)`; sigma of shape `(B,)`."""
        s, sd = sigma.view(-1, 1, 1, 1), self.sigma_data
        total = (s**2 + sd**2).sqrt()
        out = self.net(x / total, sigma.log() / 4)
        return (sd / total) ** 2 * x + s * sd / total * out.to(x.dtype)

    def scaled(self, error: Tensor, sigma: Tensor) -> Tensor:
        """The error divided by its expected size; the loss is its mean square."""
        return unit_error(error, sigma, self.sigma_data)
