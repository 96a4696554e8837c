"""`skyscore.observe(kind, files, prior, **settings)`: a problem from a user's own files, without the workflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skyscore import io
from skyscore.compute.devices import pick_device
from skyscore.config.check import Names, checked, unknown_name
from skyscore.config.kinds import problem_kinds
from skyscore.config.renamed import with_new_names
from skyscore.config.settings import SettingsError, check_files
from skyscore.priors import MomentsPrior, NeuralPrior, load_prior
from skyscore.problems import PROBLEMS, Problem, load_problem
from skyscore.simulate import SIMULATORS
from skyscore.statistics.moments import Moments, moments_of

__all__ = ["observe"]

SIMULATED = 2000  # images that stand for a training set whose moments are not stored
SOURCE = "observe"  # what messages begin with


def observe(
    kind: str,
    files: Mapping[str, str | Path],
    prior: NeuralPrior | MomentsPrior | str | Path,
    *,
    moments: Moments | None = None,
    device: str = "auto",
    **settings: Any,
) -> Problem:
    """Makes a problem of files: reads them, measures the noise, and fits what its kind fits (a lens, the flux scale).

    >>> prior = load_prior("weights/galaxies32.safetensors")
    >>> files = {"image": "lens.fits", "noise_map": "noise.fits", "psf": "psf.fits"}
    >>> problem = skyscore.observe("lens", files, prior, pixel_scale=0.1)
    >>> samples = sample("default", prior, problem.likelihood, 16)
    >>> brightness = problem.to_physical(samples.x)

    Arguments:
        kind: lens, kappa, hst or radio.
        files: path of each file by its role; docs/reference/configuration-problems.md lists the roles of each kind.
        prior: a learned prior, or the path of its weights. The unknown image has its pixels, and the flux scale is
            fitted under its moments.
        moments: of the unknown images in prior units, in place of those of the prior.
        device: where the likelihood is computed: "cpu", "cuda", or "auto": where the prior is, and for a path a GPU if
            there is one.
        settings: of the kind, by name; docs/reference/configuration-problems.md lists them, with units and defaults.

    Raises:
        SettingsError: for an unknown kind, role or setting (with the nearest known name), or a wrong value.
        InputError: for files that are absent or cannot be used, or a prior without moments.
    """
    own = checked_settings(kind, settings)
    paths = checked_files(kind, files, own)
    if isinstance(prior, str | Path):
        prior = load_prior(prior)
        place = pick_device(device)
    else:
        place = str(prior.device) if device == "auto" else device
    found = population(prior) if moments is None else moments
    return load_problem(PROBLEMS[kind].from_data(own, paths, found), place)


def checked_settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a kind with all defaults; tuples may stand for lists."""
    kinds = problem_kinds()
    if kind not in kinds:
        raise SettingsError(f"{SOURCE}: {unknown_name(kind, Names('kind of problem', kinds))}")
    given = {key: listed(value) for key, value in settings.items()}
    complete: dict[str, Any] = checked(given, {**kinds[kind], "additionalProperties": False}, SOURCE)
    return complete


def listed(value: Any) -> Any:
    """A value as YAML has it."""
    return [listed(item) for item in value] if isinstance(value, tuple | list) else value


def checked_files(kind: str, files: Mapping[str, str | Path], settings: Mapping[str, Any]) -> dict[str, str]:
    """Paths of files that are there, by roles that the kind reads."""
    paths = {role: str(path) for role, path in files.items()}
    check_files({**settings, "kind": kind, "data": None, "files": paths}, ("files",), SOURCE)
    absent = [f"{role} {path!r}" for role, path in paths.items() if not Path(path).is_file()]
    if absent:
        raise io.InputError(
            f"{SOURCE}: no such file: {', '.join(absent)}; correct the path (paths are from {Path.cwd()})"
        )
    return paths


def population(prior: NeuralPrior | MomentsPrior) -> Moments:
    """The moments of a prior. Where its file has none, those of images simulated as its training set was.

    Raises:
        InputError: if its training set was cut from data.
    """
    try:
        return prior.moments()
    except io.InputError:
        images = with_new_names(prior.config).get("images", {})
        kinds = [kind for kind in images if kind in SIMULATORS]
        if images.get("data") or not kinds:
            raise
    kind, pixels = kinds[0], prior.shape[-1]
    print(f"flux scale under the moments of {SIMULATED} simulated {kind} of {pixels} x {pixels} pixels")
    return moments_of(SIMULATORS[kind].simulate(SIMULATED, pixels, images[kind], seed=0))
