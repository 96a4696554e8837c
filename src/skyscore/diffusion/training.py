r"""Denoising score matching, resumable.

.. math::
    L = E_{x, \sigma, z} \Big[ \tfrac{\sigma^2 + \sigma_d^2}{(\sigma \sigma_d)^2}
        \| D(x + \sigma z, \sigma) - x \|^2 \Big], \qquad \log \sigma \sim N(\mu_\sigma, s_\sigma^2)

The learning rate is constant after a warm-up and falls linearly to zero over the last part of the run. The final
weights are an exponential moving average. All random numbers are functions of (seed, step), so that a run that was
killed and resumed from its checkpoint is identical to an uninterrupted run. Two checkpoints are kept, the last and
the one
before: if the last is damaged, only one more interval is lost.

Reference: Karras et al. (2022), arXiv:2206.00364, eq. 2 and table 1 (loss weight and noise distribution).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

from skyscore import checksums
from skyscore.compute.batches import Batch
from skyscore.compute.compiled import private_cache
from skyscore.compute.distributed import averaged, parallel, share
from skyscore.compute.precision import autocast, pick_precision

from .network import Model, placed

__all__ = ["denoising_loss", "learning_rate", "train"]

AVERAGE_EVERY = (
    4  # steps between updates of the average, whose half-life is hundreds of steps: each takes time
)


def denoising_loss(
    model: nn.Module, x: Tensor, settings: dict, generator: torch.Generator, part: slice = slice(None)
) -> Tensor:
    """The loss above, averaged over a part of one batch x of shape `(B, 1, H, W)`; 1 for an untrained plain network."""
    u = torch.randn(len(x), generator=generator, device=generator.device).to(x.device)
    sigma = torch.exp(settings["log_sigma_mean"] + settings["log_sigma_std"] * u)
    z = torch.randn(x.shape, generator=generator, device=generator.device).to(x.device)
    noisy, sigma, x = (x + sigma.view(-1, 1, 1, 1) * z)[part], sigma[part], x[part]
    error = model(noisy, sigma) - x
    denoiser: Any = getattr(model, "module", model)  # the denoiser inside the wrapper for several devices
    return denoiser.scaled(error.float(), sigma).square().mean()


def gradient(
    model: nn.Module,
    x: Tensor,
    settings: dict,
    generator: torch.Generator,
    rows: slice,
    size: int,
    precision: str,
) -> Tensor:
    """The loss of some rows of a batch, `size` images at a time; adds its gradient to the model's gradients."""
    chosen, state, total = range(len(x))[rows], generator.get_state(), torch.zeros((), device=x.device)
    for first in range(chosen.start, chosen.stop, size):
        part = slice(first, min(first + size, chosen.stop))
        generator.set_state(state)  # every part draws for the whole batch and uses its own rows
        with autocast(x.device, precision):
            loss = denoising_loss(model, x, settings, generator, part)
        loss = loss * ((part.stop - part.start) / len(chosen))
        loss.backward()
        total = total + loss.detach()
    return total


def learning_rate(step: int, settings: dict) -> float:
    """Warm-up, plateau, and linear decay to zero over the last `decay` of all steps."""
    peak, steps = settings["learning_rate"], settings["steps"]
    warm = min(1.0, (step + 1) / max(settings["warmup"], 1))
    return peak * warm * min(1.0, (steps - step) / max(settings["decay"] * steps, 1))


SYMMETRIES = {
    "square": 8,
    "flips": 4,
    "none": 1,
}  # order of each group: flips of columns, flips of rows, turns


def turned(x: Tensor, k: Tensor) -> Tensor:
    """Applies flip or turn number k `(B,)` to each image `(B, 1, H, W)`."""
    k = k.to(x.device)[:, None, None, None]
    x = torch.where(k % 2 == 1, x.flip(-1), x)
    x = torch.where(k // 2 % 2 == 1, x.flip(-2), x)
    return torch.where(k // 4 == 1, x.transpose(-1, -2), x)


def symmetry(x: Tensor, generator: torch.Generator, group: str = "square") -> Tensor:
    """Applies a random flip or turn of the group to each image `(B, 1, H, W)`.

    The sky has all eight, a detector with rows has four.
    """
    return turned(
        x, torch.randint(SYMMETRIES[group], (len(x),), generator=generator, device=generator.device)
    )


def train(
    images: Tensor,
    model: Model,
    settings: dict,
    seed: int,
    checkpoint: Path | None = None,
    device: str = "cpu",
    progress: bool = True,
    stop_after: int | None = None,
) -> tuple[Model, dict]:
    """Trains a denoiser.

    Arguments:
        images: training set of shape `(N, 1, H, W)`, in prior units.
        model: the network, initialised.
        settings: `steps`, `batch`, `learning_rate`, `warmup` [steps], `decay` [share of the steps], `ema` [half-life
            as a share of the steps so far], `log_sigma_mean`, `log_sigma_std`, `precision` (bfloat16, float32 or
            auto, the default: the fastest on the device), `checkpoint_every` [steps], `compile` (bool), `symmetry`
            (square, flips or none; square by default).
        seed: seed of all random numbers.
        checkpoint: file for the state (safetensors); the previous state is kept beside it. If the file exists,
            training resumes from it.
        device: "cpu" or "cuda".
        progress: whether to show a progress bar.
        stop_after: stop after this many steps of this call, with a checkpoint (for tests of resuming).

    Returns:
        The averaged denoiser (eval mode, on the CPU) and the record: `loss` (mean over the last tenth), `steps`,
        `precision` (in words; a run that was resumed on another machine can have two).

    Raises:
        FloatingPointError: if the loss is not finite.
    """
    torch.manual_seed(seed)
    model = placed(model, device).train()
    average = {k: v.detach().clone() for k, v in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0, betas=(0.9, 0.99), fused=True)
    images, start = torch.as_tensor(images), 0
    losses: list[Tensor] = []
    precisions: dict[int, str] = {}
    if checkpoint is not None:
        start, losses, precisions = restore(Path(checkpoint), model, average, optimizer)
    precision = pick_precision(settings.get("precision", "auto"), device)
    if settings.get("compile"):
        private_cache()
    forward: nn.Module = torch.compile(model) if settings.get("compile") else model  # type: ignore[assignment]
    forward = parallel(forward, device)
    part, rank = share(settings["batch"])
    generator = torch.Generator(device)
    together = Batch(len(range(settings["batch"])[part]), "training")
    # several processes average gradients: none may change its batch alone
    together.halved = part != slice(None)
    last = settings["steps"] if stop_after is None else min(settings["steps"], start + stop_after)
    if last > start and list(precisions.values())[-1:] != [precision.name]:
        precisions[start] = precision.name
    if last > start and rank == 0:
        print(f"training in {precision.name}: {precision.reason}")
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
            return gradient(forward, x, settings, generator, part, size, precision.name)

        loss = together.run(attempt, together.size)
        optimizer.param_groups[0]["lr"] = learning_rate(step, settings)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        if (step + 1) % AVERAGE_EVERY == 0 or step + 1 == settings["steps"]:
            # the half-life grows with the run, so that early, poor weights are forgotten
            beta = 0.5 ** (AVERAGE_EVERY / max(settings["ema"] * (step + 1), 1.0))
            values = [p.detach() for p in model.parameters()]
            torch._foreach_lerp_(list(average.values()), values, 1 - beta)
        losses.append(averaged(loss))
        # not in every step, because reading the loss synchronises with the device
        if (step + 1) % 50 == 0 or step + 1 == last:
            losses = [torch.as_tensor(v).float().cpu() for v in losses[-settings["steps"] // 10 - 50 :]]
            recent = float(torch.stack(losses[-50:]).mean())
            bar.set_postfix(loss=f"{recent:.4f}")
            if not math.isfinite(recent):
                raise FloatingPointError(
                    f"training diverged at step {step + 1}; lower learning_rate, delete the checkpoint and train again"
                )
        due = (step + 1) % settings["checkpoint_every"] == 0 or step + 1 == last
        if checkpoint is not None and due and rank == 0:
            keep(checkpoint, step + 1, model, average, optimizer, losses, precisions)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(average[name])
    window = max(settings["steps"] // 10, 1)
    record = {"loss": float(torch.stack([v.cpu() for v in losses[-window:]]).mean()), "steps": last}
    record["precision"] = ", ".join(
        f"{name} from step {step}" if step else name for step, name in precisions.items()
    )
    return placed(model.eval(), "cpu"), record


def keep(
    path: Path,
    step: int,
    model: nn.Module,
    average: dict,
    optimizer,
    losses: list,
    precisions: dict[int, str],
) -> None:
    """Writes the whole state of a run to one file, atomically, and moves the previous file to `before(path)`."""
    from skyscore.io import write_bytes

    state = {f"model/{k}": v.detach().contiguous().cpu() for k, v in model.named_parameters()}
    state |= {f"average/{k}": v.contiguous().cpu() for k, v in average.items()}
    for (name, _), s in zip(model.named_parameters(), optimizer.state.values(), strict=True):
        state |= {f"{moment}/{name}": s[moment].contiguous().cpu() for moment in ("exp_avg", "exp_avg_sq")}
    state["losses"] = torch.stack([v.cpu().float() for v in losses])
    content = save(state, metadata={"step": str(step), "precisions": json.dumps(precisions)})
    if Path(path).exists():
        checksums.move(path, before(path))
    write_bytes(path, content)


def before(path: Path) -> Path:
    """Path of the previous checkpoint."""
    path = Path(path)
    return path.with_name(f"{path.stem}.before{path.suffix}")


def restore(path: Path, model: nn.Module, average: dict, optimizer) -> tuple[int, list, dict[int, str]]:
    """Restores the last undamaged state; returns its step, recent losses and the precisions so far by first step.

    Without such a state it returns 0 and empty records.
    """
    for candidate in filter(Path.exists, (path, before(path))):
        try:
            step, state, precisions = kept(candidate)
            break
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            print(f"{candidate}: checkpoint is damaged ({error}); it is ignored")
    else:
        return 0, [], {}
    print(f"{candidate}: training goes on from step {step}")
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(state[f"model/{name}"])
            average[name].copy_(state[f"average/{name}"])
            # the fused optimizer works on memory: moments must have the memory layout of their parameters
            moments = {k: torch.empty_like(p).copy_(state[f"{k}/{name}"]) for k in ("exp_avg", "exp_avg_sq")}
            optimizer.state[p] = {"step": torch.tensor(float(step), device=p.device), **moments}
    return step, list(state["losses"]), precisions


def kept(path: Path) -> tuple[int, dict[str, Tensor], dict[int, str]]:
    """Step, tensors and precisions of a checkpoint.

    Raises:
        ValueError: if the file is not what was written.
    """
    if reason := checksums.damage(path):
        raise ValueError(reason)
    with safe_open(path, framework="pt") as f:
        about = f.metadata() or {}
        precisions = {int(step): name for step, name in json.loads(about.get("precisions", "{}")).items()}
        return int(about["step"]), {k: f.get_tensor(k) for k in f.keys()}, precisions
