"""Certificates: the tests of an ensemble with their limits, combined into one verdict with its reasons.

For truths drawn from the learned prior, a sampler is certified if, with at least 64 simulations and 8 samples each,

* coverage: both TARP curves are inside their joint simultaneous 99 % band;
* MIRA: the score is within 3 standard errors of that of a calibrated posterior, on either side;
* mean squared z: 1 +- 0.1 over all pixels; in the fainter and the brighter half of them, in each Fourier band and in
  each band of signal-to-noise ratio 1 +- 0.1, or within 4 standard errors where these are larger (the lowest bands
  contain few modes, and all bands must pass);
* chi2 of samples over the number of data M: 1 +- 3 sqrt(2 / M), averaged over simulations. For learned noise instead:
  PQMass of residuals against held-out noise, p >= 0.01;
* PQMass of pooled samples against the prior (for 256 simulations and more): p >= 0.01;
* PQMass of the prior, and of a learned noise model, against held-out images: chi2 / dof <= 1.3.

A required number that was not measured counts as a failed test. Truths from held-out images, whiteness of residuals and
common bias are reported but do not enter the verdict: they test the prior, or detect deviations too small to matter.

Error rates at 64 simulations of 16 samples, measured on the Gaussian field of :mod:`skyscore.validation.control`: exact
draws were refused for none of 100 seeds on 8 x 8 pixels and for 1 of 30 on 16 x 16. Draws that were a tenth too wide or
too narrow were always refused (20 of 20 each), draws a twentieth too wide for 12 of 20 (8 x 8 pixels; the power grows
with the number of pixels that vary), and CLA for each of the 4 seeds tried (8 x 8).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

__all__ = ["Certificate", "Check", "certify"]

SIMULATIONS, SAMPLES = 64, 8  # fewer do not have the power to detect relevant deviations
STANDARD_ERRORS = 3.0
BAND_ERRORS = 4.0  # wider, because a dozen bands must all pass
Z2 = 0.1
P_VALUE = 0.01
PQMASS = 1.3


@dataclass
class Check:
    """One condition.

    Attributes:
        name: of the test.
        value: measured value.
        low, high: allowed range.
        passed: whether the value is in that range.
    """

    name: str
    value: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.3g}, allowed {self.allowed}"

    @property
    def allowed(self) -> str:
        """The allowed range as text."""
        if self.high == float("inf"):
            return f"{self.low:.3g} or more"
        return f"{self.low:.3g}" if self.low == self.high else f"{self.low:.3g} to {self.high:.3g}"


@dataclass
class Certificate:
    """The verdict on one ensemble.

    Attributes:
        checks: all checks.
        absent: names of required numbers that were not measured.
        certified: whether every check passed.
        reasons: one sentence for each check that did not pass.
    """

    checks: list[Check]
    absent: list[str]

    @property
    def certified(self) -> bool:
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        failed = [str(check) for check in self.checks if not check.passed]
        return failed + [f"{name} was not measured" for name in self.absent]

    def content(self) -> dict:
        """A JSON-serialisable dictionary."""
        checks = [asdict(check) | {"passed": check.passed} for check in self.checks]
        return {"certified": int(self.certified), "reasons": self.reasons, "checks": checks}


def certify(
    numbers: Mapping[str, float], priors: Mapping[str, float] | None = None, learned_noise: bool = False
) -> Certificate:
    """The verdict on the numbers of one ensemble.

    Arguments:
        numbers: those of :mod:`skyscore.validation.ensemble`, and `simulations` and `samples`.
        priors: PQMass chi2 / dof of the prior and the noise model, by name; empty if the prior is exact.
        learned_noise: whether residuals are compared with held-out noise instead of chi2 with 1.
    """
    infinite = float("inf")
    needed = {
        "simulations": (SIMULATIONS, infinite),
        "samples": (SAMPLES, infinite),
        "tarp_inside": (1, 1),
        "mira_z": (-STANDARD_ERRORS, STANDARD_ERRORS),
        "z2": (1 - Z2, 1 + Z2),
    }
    for band in sorted(
        key
        for key in numbers
        if re.fullmatch(r"z2_(k\d+|snr_\w+?|faint|bright)", key) and not key.endswith("_error")
    ):
        width = max(Z2, BAND_ERRORS * numbers[f"{band}_error"])
        needed[band] = (1 - width, 1 + width)
    if learned_noise:
        needed["pqmass_residual_p"] = (P_VALUE, 1)
    else:
        allowed = numbers.get("chi2_allowed", 0.0)
        needed["chi2_mean"] = (1 - allowed, 1 + allowed)
    if "pqmass_pooled_p" in numbers:
        needed["pqmass_pooled_p"] = (P_VALUE, 1)
    checks = [Check(name, numbers[name], *allowed) for name, allowed in needed.items() if name in numbers]
    checks += [Check(f"PQMass of {name}", value, 0, PQMASS) for name, value in (priors or {}).items()]
    return Certificate(checks, [name for name in needed if name not in numbers])
