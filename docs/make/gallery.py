"""The pictures of docs/gallery.md: which figures of recorded runs are shown, and what each of them shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["FIGURES", "pictures", "shown"]

IMAGES = Path(__file__).resolve().parents[1] / "images"
# record -> picture -> heading and text; [[record:key:format]] is a number of a record
FIGURES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "real": {
        "sdssj1430_mmps": (
            "SDSSJ1430+4105, a lensed galaxy",
            "The galaxy behind a gravitational lens, from the public HST/ACS image: data, model, residual, and samples "
            "of the source. The chi2 per datum of the samples is [[real:sdssj1430/mmps/chi2_dof:.2f]].",
        ),
        "family": (
            "The sources behind three lenses",
            "Each source without its lens: the posterior mean above, one sample below.",
        ),
        "as209_mmps": (
            "AS 209, a protoplanetary disk",
            "An image from the DSHARP visibilities. The prior was trained on galaxies and has never seen a disk. The "
            "chi2 per datum of the samples is [[real:as209/mmps/chi2_dof:.2f]].",
        ),
        "profile_as209_mmps": (
            "The rings of AS 209 against the published profile",
            "The median over radii of the brightness ratio is [[real:as209/mmps/profile_ratio:.2f]], and "
            "[[real:as209/mmps/profile_ratio_at_beam:.2f]] when both are smoothed to the beam of CLEAN. The galaxy "
            "prior makes the rings too broad, and the spread of the samples does not cover the difference.",
        ),
        "m87_mmps": (
            "M87, the ring around a black hole",
            "An image from the visibilities of the Event Horizon Telescope.",
        ),
        "cosmos_gibbs": (
            "COSMOS, a mass map",
            "The convergence from the shapes of galaxies: posterior mean, samples, and residual.",
        ),
    },
    "demo": {
        "comparison_kappa": (
            "Convergence from simulated shear",
            "Correlation with the truth: Kaiser-Squires [[demo:kappa/baselines/kaiser_squires/correlation:.2f]], "
            "Wiener filter [[demo:kappa/baselines/wiener/correlation:.2f]], a network trained to predict the mean "
            "[[demo:kappa/baselines/regression/correlation:.2f]], and the posterior mean of `gibbs` "
            "[[demo:kappa/gibbs/mean_correlation:.2f]]. Samples keep the power at small scales; no mean does.",
        ),
        "comparison_hst": (
            "From HST to the resolution of JWST",
            "A deconvolution under a noise law that was itself learned, beside Richardson-Lucy and Wiener.",
        ),
        "comparison_radio": (
            "A simulated radio array",
            "A disk, its CLEAN image, and posterior samples, with their power spectra.",
        ),
        "exercise_truth": (
            "A source that the prior has never seen",
            "Good data overrule the prior: the error of the posterior mean is "
            "[[demo:exercise/truth/letter/error_over_sd:.2f]] posterior standard deviations. Poor data leave the "
            "decision to the prior, which cannot know a truth that it excludes: "
            "[[demo:exercise/truth/faintletter/error_over_sd:.2f]].",
        ),
        "exercise_snr": (
            "Falling signal-to-noise",
            "One truth and one noise realisation at falling signal-to-noise: the posterior relaxes to the prior.",
        ),
        "slic": (
            "Source parameters under a learned noise",
            "The noise has stripes, cosmic rays and hot pixels. The figure compares the learned noise with a Gaussian "
            "of the measured covariance and with a noise map, and shows how often each of them is right.",
        ),
        "samplers_all": (
            "Samplers compared on four problems",
            "The truths were drawn from the learned prior (`--configfile config/samplers.yaml -- samplers`). Red: not "
            "certified. [Which sampler to use](explanation/samplers-compared.md) says what follows.",
        ),
        "certificates": (
            "Every test of every certificate",
            "Red: failed. The three controls test the tests themselves.",
        ),
    },
    "exact": {
        "exact": (
            "Distance to posteriors known in closed form",
            "In units of the distance between two sets of exact draws, so that 1 is perfect. Bold: at most 25 % above.",
        ),
    },
}


def pictures(record: str) -> tuple[str, ...]:
    """File names of the figures of a run that the documentation shows."""
    return tuple(f"{name}.png" for name in FIGURES.get(record, ()))


def shown(images: Path = IMAGES) -> str:
    """The pictures that are there, each with its heading and text; numbers are still in double brackets."""
    return "\n\n".join(
        f"## {heading}\n\n![{heading}](images/{name}.png)\n\n{text} *(run `{record}`)*"
        for record, figures in FIGURES.items()
        for name, (heading, text) in figures.items()
        if (images / f"{name}.png").exists()
    )
