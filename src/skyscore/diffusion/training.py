r"""Denoising score matching with resume.

.. math::
    L = E_{x, \sigma, z} \Big[ \tfrac{\sigma^2 + \sigma_d^2}{(\sigma \sigma_d)^2}
        \| D(x + \sigma z, \sigma) - x \|^2 \Big], \qquad \log \sigma \sim N(\mu_\sigma, s_\sigma^2)

The learning rate is constant after a warm-up and falls linearly to zero over the last part of the run; the weights
that are kept are an exponential moving average. Everything random is drawn from (seed, step), so a run that was
killed and resumed from its checkpoint is the run that was not. Two checkpoints are kept, the last and the one
before: one that turns out to be damaged costs one interval more.

Reference: Karras et al. (2022), arXiv:2206.00364, eq. 2 and table 1 (loss weight and noise distribution).
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from skyscore import checksums
from skyscore.compute.batches import Batch
from skyscore.compute.compiled import private_cache
from skyscore.compute.distributed import averaged, parallel, share

from .network import Denoiser, placed

__all__ = ["denoising_loss", "learning_rate", "train"]

AVERAGE_EVERY = 4  # steps: the average's half-life is hundreds of steps, and touching all weights costs time


def denoising_loss(
    model: Denoiser, x: Tensor, settings: dict, generator: torch.Generator, part: slice = slice(None)
) -> Tensor:
    """The loss above averaged over a part of one batch x of shape `(B, 1, H, W)`; 1 for a blank plain network."""
    u = torch.randn(len(x), generator=generator, device=generator.device).to(x.device)
    sigma = torch.exp(settings["log_sigma_mean"] + settings["log_sigma_std"] * u)
    z = torch.randn(x.shape, generator=generator, device=generator.device).to(x.device)
    noisy, sigma, x = (x + sigma.view(-1, 1, 1, 1) * z)[part], sigma[part], x[part]
    error = model(noisy, sigma) - x
    return getattr(model, "module", model).scaled(error.float(), sigma).square().mean()


def gradient(
    model: Denoiser, x: Tensor, settings: dict, generator: torch.Generator, rows: slice, size: int
) -> Tensor:
    """The loss of some rows of a batch, its gradient added to the model's; so many images at once."""
    precision = {"bfloat16": torch.bfloat16, "float32": torch.float32}[settings["precision"]]
    chosen, state, total = range(len(x))[rows], generator.get_state(), 0.0
    for first in range(chosen.start, chosen.stop, size):
        part = slice(first, min(first + size, chosen.stop))
        generator.set_state(state)  # every part draws for the whole batch, and takes its own
        with torch.autocast(x.device.type, precision, enabled=precision != torch.float32):
            loss = denoising_loss(model, x, settings, generator, part)
        loss = loss * ((part.stop - part.start) / len(chosen))
        loss.backward()
        total = total + loss.detach()
    return total


def learning_rate(step: int, settings: dict) -> float:
    """Warm-up, plateau, linear decay to zero over the last `decay` of all steps."""
    peak, steps = settings["learning_rate"], settings["steps"]
    warm = min(1.0, (step + 1) / max(settings["warmup"], 1))
    return peak * warm * min(1.0, (steps - step) / max(settings["decay"] * steps, 1))


SYMMETRIES = {"square": 8, "flips": 4, "none": 1}  # the first so many of: flips of columns, of rows, turns


def turned(x: Tensor, k: Tensor) -> Tensor:
    """The flip or turn number k `(B,)` of each image `(B, 1, H, W)`."""
    k = k.to(x.device)[:, None, None, None]
    x = torch.where(k % 2 == 1, x.flip(-1), x)
    x = torch.where(k // 2 % 2 == 1, x.flip(-2), x)
    return torch.where(k // 4 == 1, x.transpose(-1, -2), x)


def symmetry(x: Tensor, generator: torch.Generator, group: str = "square") -> Tensor:
    """One of the flips and turns of the group for each image; the sky has all eight, a detector's rows have four."""
    return turned(
        x, torch.randint(SYMMETRIES[group], (len(x),), generator=generator, device=generator.device)
    )


def train(
    images: Tensor,
    model: Denoiser,
    settings: dict,
    seed: int,
    checkpoint: Path | None = None,
    device: str = "cpu",
    progress: bool = True,
    stop_after: int | None = None,
) -> tuple[Denoiser, dict]:
    """Trains a denoiser.

    Arguments:
        images: training set of shape `(N, 1, H, W)`, in prior units.
        model: the network, initialised.
        settings: `steps`, `batch`, `learning_rate`, `warmup` [steps], `decay` [share of the steps], `ema` [half-life
            as a share of the steps made], `log_sigma_mean`, `log_sigma_std`, `precision` (float32 or bfloat16),
            `checkpoint_every` [steps], `compile` (bool), `symmetry` (square, flips or none; square by default).
        seed: of everything random.
        checkpoint: file that the state is kept in (safetensors), and beside it the state before; resumed from if it is
            there.
        stop_after: leave after this many steps of this call, checkpoint written (for tests of resume).

    Returns:
        The averaged denoiser (eval mode, on the CPU) and the record: `loss` (mean over the last tenth), `steps`.

    Raises:
        FloatingPointError: if the loss is not finite.
    """
    torch.manual_seed(seed)
    model = placed(model, device).train()
    average = {k: v.detach().clone() for k, v in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0, betas=(0.9, 0.99), fused=True)
    images, start, losses = torch.as_tensor(images), 0, []
    if checkpoint is not None:
        start, losses = restore(Path(checkpoint), model, average, optimizer)
    if settings.get("compile"):
        private_cache()
    forward = parallel(torch.compile(model) if settings.get("compile") else model, device)
    part, rank = share(settings["batch"])
    generator = torch.Generator(device)
    together = Batch(len(range(settings["batch"])[part]), "training")
    together.halved = part != slice(None)  # no process of several may go its own way: they average gradients
    last = settings["steps"] if stop_after is None else min(settings["steps"], start + stop_after)
    hidden = not progress or rank > 0
    bar = tqdm(range(start, last), initial=start, total=settings["steps"], desc="train", disable=hidden)
    for step in bar:
        generator.manual_seed((seed * 1_000_003 + step) % 2**63)
        pick = torch.randint(len(images), (settings["batch"],), generator=generator, device=device)
        x = images[pick.to(images.device)].to(device)
        x = symmetry(x, generator, settings.get("symmetry", "square"))
        state = generator.get_state()

        def attempt(size: int, x=x, state=state) -> Tensor:
            generator.set_state(state)
            optimizer.zero_grad(set_to_none=True)
            return gradient(forward, x, settings, generator, part, size)

        loss = together.run(attempt, together.size)
        optimizer.param_groups[0]["lr"] = learning_rate(step, settings)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        if (step + 1) % AVERAGE_EVERY == 0 or step + 1 == settings["steps"]:
            # half-life grows with the run, so that early, poor weights are forgotten
            beta = 0.5 ** (AVERAGE_EVERY / max(settings["ema"] * (step + 1), 1.0))
            values = [p.detach() for p in model.parameters()]
            torch._foreach_lerp_(list(average.values()), values, 1 - beta)
        losses.append(averaged(loss))
        if (step + 1) % 50 == 0 or step + 1 == last:  # reading the loss waits for the device: not every step
            losses = [torch.as_tensor(v).float().cpu() for v in losses[-settings["steps"] // 10 - 50 :]]
            recent = float(torch.stack(losses[-50:]).mean())
            bar.set_postfix(loss=f"{recent:.4f}")
            if not math.isfinite(recent):
                raise FloatingPointError(
                    f"training diverged at step {step + 1}: lower learning_rate and start anew"
                )
        due = (step + 1) % settings["checkpoint_every"] == 0 or step + 1 == last
        if checkpoint is not None and due and rank == 0:
            keep(checkpoint, step + 1, model, average, optimizer, losses)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(average[name])
    window = max(settings["steps"] // 10, 1)
    record = {"loss": float(torch.stack([v.cpu() for v in losses[-window:]]).mean()), "steps": last}
    return placed(model.eval(), "cpu"), record


def keep(path: Path, step: int, model: Denoiser, average: dict, optimizer, losses: list) -> None:
    """Writes the whole state of a run to one file, atomically; the one that was there is kept as `before(path)`."""
    from skyscore.io import write_bytes

    state = {f"model/{k}": v.detach().contiguous().cpu() for k, v in model.named_parameters()}
    state |= {f"average/{k}": v.contiguous().cpu() for k, v in average.items()}
    for (name, _), s in zip(model.named_parameters(), optimizer.state.values(), strict=True):
        state |= {f"{moment}/{name}": s[moment].contiguous().cpu() for moment in ("exp_avg", "exp_avg_sq")}
    state["losses"] = torch.stack([v.cpu().float() for v in losses])
    content = save(state, metadata={"step": str(step)})
    if Path(path).exists():
        checksums.move(path, before(path))
    write_bytes(path, content)


def before(path: Path) -> Path:
    """Where the checkpoint before the last is."""
    path = Path(path)
    return path.with_name(f"{path.stem}.before{path.suffix}")


def restore(path: Path, model: Denoiser, average: dict, optimizer) -> tuple[int, list]:
    """Puts the last kept state back that is whole. Returns its step and recent losses; 0 and none if there is none."""
    for candidate in filter(Path.exists, (path, before(path))):
        try:
            step, state = kept(candidate)
            break
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            print(f"{candidate}: checkpoint is damaged ({error}); it is not used")
    else:
        return 0, []
    print(f"{candidate}: training goes on from step {step}")
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(state[f"model/{name}"])
            average[name].copy_(state[f"average/{name}"])
            # the fused optimizer runs over memory: moments must lie as their parameters do
            moments = {k: torch.empty_like(p).copy_(state[f"{k}/{name}"]) for k in ("exp_avg", "exp_avg_sq")}
            optimizer.state[p] = {"step": torch.tensor(float(step), device=p.device), **moments}
    return step, list(state["losses"])


def kept(path: Path) -> tuple[int, dict[str, Tensor]]:
    """Step and state of a checkpoint; ValueError if it is not what was written."""
    if reason := checksums.damage(path):
        raise ValueError(reason)
    with safe_open(path, framework="pt") as f:
        return int(f.metadata()["step"]), {k: f.get_tensor(k) for k in f.keys()}
