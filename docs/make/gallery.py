"""docs/gallery.md: pictures that the recorded runs made, each with what it shows. `make docs` writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["FIGURES", "page", "pictures"]

HEAD = """# Gallery

Every picture was drawn by a run of the workflow; [results/](results) says by which revision and configuration.
`snakemake --cores all` makes those of `demo`, with `--configfile config/real.yaml` those of `real`, with
`config/exact.yaml` that of `exact`; `make docs` copies them here.
"""
# record -> picture -> heading and text; [[record:key:format]] is a number of a record
FIGURES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "real": {
        "sdssj1430_mmps": (
            "SDSSJ1430+4105",
            "A galaxy behind a gravitational lens, from the public HST/ACS image: data, model, residual, samples of "
            "the source. chi2 per datum of the samples [[real:sdssj1430/mmps/chi2_dof:.2f]].",
        ),
        "family": ("Sources of the lenses", "Each without its lens: mean above, one sample below."),
        "as209_mmps": (
            "AS 209",
            "A protoplanetary disk from DSHARP visibilities, under a prior that knows galaxies only. chi2 per datum of "
            "the samples [[real:as209/mmps/chi2_dof:.2f]].",
        ),
        "profile_as209_mmps": (
            "Its rings, against the published profile",
            "Ratio of the brightness, median over radii: [[real:as209/mmps/profile_ratio:.2f]]; as the beam of CLEAN "
            "shows both: [[real:as209/mmps/profile_ratio_at_beam:.2f]]. A prior of galaxies makes the rings broader "
            "than they are, and its samples' spread does not cover them.",
        ),
        "m87_mmps": ("M87", "The black hole's ring, from the visibilities of the Event Horizon Telescope."),
        "cosmos_gibbs": ("COSMOS", "Convergence from the shapes of galaxies: mean, samples, residual."),
    },
    "demo": {
        "comparison_kappa": (
            "Convergence from shear",
            "Correlation with the truth of Kaiser-Squires [[demo:kappa/baselines/kaiser_squires/correlation:.2f]], "
            "Wiener [[demo:kappa/baselines/wiener/correlation:.2f]], a network trained for the mean "
            "[[demo:kappa/baselines/regression/correlation:.2f]], the posterior mean of `gibbs` "
            "[[demo:kappa/gibbs/mean_correlation:.2f]]. Samples, unlike any mean, keep the power at small scales.",
        ),
        "comparison_hst": (
            "HST to the resolution of JWST",
            "Under a noise that was itself learned, beside Richardson-Lucy and Wiener.",
        ),
        "comparison_radio": ("A simulated array", "A disk, CLEAN, and posteriors, with their power spectra."),
        "exercise_truth": (
            "A source that the prior has never seen",
            "Where the data are good they overrule the prior (error of the mean over the standard deviation "
            "[[demo:exercise/truth/letter/error_over_sd:.2f]]); where they are poor the prior decides, and it cannot "
            "know of a truth that it excludes ([[demo:exercise/truth/faintletter/error_over_sd:.2f]]).",
        ),
        "exercise_snr": (
            "The data fade",
            "One truth, one noise, falling signal-to-noise: the posterior relaxes to the prior.",
        ),
        "slic": (
            "Parameters under a learned noise",
            "Stripes, cosmic rays, hot pixels: what a Gaussian with the measured covariance, and a noise map, make of "
            "the same data, and how often each is right.",
        ),
        "samplers_all": (
            "Samplers side by side",
            "On simulations whose truths the learned prior made (`--configfile config/samplers.yaml -- samplers`). "
            "Red: not certified. What follows from it: [validation.md](validation.md#samplers-side-by-side).",
        ),
        "certificates": ("Every test of every certificate", "Red: failed. The controls test the tests."),
    },
    "exact": {
        "exact": (
            "Distance to posteriors known in closed form",
            "In units of the distance between two sets of exact draws: 1 is perfect; bold: at most a quarter above.",
        ),
    },
}


def pictures(record: str) -> tuple[str, ...]:
    """File names of a run's figures that the documentation shows."""
    return tuple(f"{name}.png" for name in FIGURES.get(record, ()))


def page(images: Path) -> str:
    """The gallery of the pictures that are there, numbers not yet filled in."""
    parts = [
        f"## {heading}\n\n![{heading}](images/{name}.png)\n\n{text} *(`{record}`)*"
        for record, figures in FIGURES.items()
        for name, (heading, text) in figures.items()
        if (images / f"{name}.png").exists()
    ]
    return re.sub(r"\[\[(.+?)\]\]", r"<!-- \1 --><!-- -->", "\n\n".join([HEAD.rstrip(), *parts])) + "\n"
