"""Figures of validation: coverage curves, mean squared z with ranks and MIRA, and the table of all certificates.

Only failures are red. Samplers are also distinguished by marker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .style import MARKERS, STYLE, plt

__all__ = ["draw_certificates", "draw_coverage", "draw_moments"]

PASSED = ("#0072B2", "#009E73", "#000000", "#56B4E9", "#CC79A7", "#E69F00")
FAILED = "#D00000"
PALE = "#DCE9F3"
LIGHT, DARK = "0.9", "0.78"
REFERENCES = {
    "data": "regions around an estimate\nfrom the data",
    "other": "regions around samples of\nother data",
}
ORIGINS = {"prior": "Truths drawn from the prior", "held_out_": "Held-out truths"}
GROUPS = {
    "z2": "Pixels",
    "z2_faint": "Faint\nhalf",
    "z2_bright": "Bright\nhalf",
    "z2_snr_low": "SNR\n< 1/3",
    "z2_snr_one": "SNR\n1/3-3",
    "z2_snr_high": "SNR\n> 3",
}


def outside(curve: Mapping[str, Any]) -> bool:
    """Whether a curve leaves its simultaneous band."""
    ecp, (low, high) = np.array(curve["ecp"]), np.array(curve["band"])
    return bool(((ecp < low - 1e-12) | (ecp > high + 1e-12)).any())


def draw_coverage(curves: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str = "") -> Figure:
    """Expected coverage minus credibility, with its null bands.

    Arguments:
        curves: by sampler, origin of the truths ("prior", "held_out_") and reference points ("data", "other"): `alpha`,
            `ecp`, `band` (2, K), `pointwise` (2, K), `bootstrap` (2, K).
    """
    cases = [
        (origin, kind)
        for origin in ORIGINS
        if any(origin in f for f in curves.values())
        for kind in REFERENCES
    ]
    with plt.rc_context(STYLE):
        size = (2.9 * len(cases), 3.6)
        figure, row = plt.subplots(1, len(cases), figsize=size, sharey=True, squeeze=False)
        for axes, (origin, kind) in zip(row[0], cases, strict=True):
            shown = {name: found[origin][kind] for name, found in curves.items() if origin in found}
            draw_bands(axes, next(iter(shown.values())))
            for index, curve in enumerate(shown.values()):
                draw_curve(axes, index, curve)
            axes.set_title(f"{ORIGINS[origin]}:\n{REFERENCES[kind]}", fontsize=8)
            axes.set_xlabel("Credibility")
            axes.set_xlim(0, 1)
        row[0][0].set_ylabel("Expected coverage - credibility")
        low, high = row[0][0].get_ylim()
        row[0][0].set_ylim(min(low, -0.3), max(high, 0.3))
        figure.suptitle(title)
        figure.legend(handles=keys(curves), loc="outside lower center", ncols=6, fontsize=7.5, frameon=False)
    return figure


def draw_bands(axes: plt.Axes, null: Mapping[str, Any]) -> None:
    """The bands in which curves of uniform ranks stay."""
    alpha = np.array(null["alpha"])
    for key, shade in (("band", LIGHT), ("pointwise", DARK)):
        low, high = np.array(null[key]) - alpha
        axes.fill_between(alpha, low, high, color=shade, lw=0)
    axes.axhline(0, color="0.4", lw=0.8)


def draw_curve(axes: plt.Axes, index: int, curve: Mapping[str, Any]) -> None:
    """One curve with its bootstrap interval; red if it leaves the band."""
    alpha, ecp = np.array(curve["alpha"]), np.array(curve["ecp"])
    colour = FAILED if outside(curve) else PASSED[index % len(PASSED)]
    low, high = np.array(curve["bootstrap"])
    marks: dict[str, Any] = {
        "marker": MARKERS[index % len(MARKERS)],
        "ms": 3.5,
        "markevery": max(1, len(alpha) // 18),
    }
    axes.errorbar(alpha, ecp - alpha, [ecp - low, high - ecp], color=colour, lw=0, elinewidth=0.6, alpha=0.6)
    axes.plot(alpha, ecp - alpha, color=colour, lw=1.2, **marks)


def keys(samplers: Iterable[str]) -> list[Any]:
    """Handles of the legend: samplers by marker, bands, and the meaning of red."""
    handles = [
        Line2D([], [], color=PASSED[i % len(PASSED)], marker=MARKERS[i % len(MARKERS)], ms=4, label=name)
        for i, name in enumerate(samplers)
    ]
    patches = (
        (LIGHT, "99 %, whole curve"),
        (DARK, "99 %, each credibility"),
        (FAILED, "Outside"),
    )
    return handles + [Patch(color=colour, label=label) for colour, label in patches]


def draw_moments(
    numbers: Mapping[str, Mapping[str, float]],
    ranks: Mapping[str, Mapping[str, Sequence[int]]],
    failed: Mapping[str, Sequence[str]],
    samples: int,
    title: str = "",
) -> Figure:
    """Ranks of the truths, mean squared z by group, MIRA.

    Arguments:
        numbers: by sampler: `z2...` with `_error`, `mira_...`, and the same with prefix `held_out_`.
        ranks: by sampler: ranks 0 ... samples of the truths drawn from the prior, around estimates from the data.
        failed: by sampler, names of the failed checks.
        samples: per simulation.
    """
    first = next(iter(numbers.values()))
    bands = sorted(
        (key for key in first if key.startswith("z2_k") and not key.endswith("_error")), key=low_end
    )
    halves = [key for key in ("z2_faint", "z2_bright") if key in first]
    snr = [key for key in GROUPS if key in first and key.startswith("z2_snr")]
    with plt.rc_context(STYLE):
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), width_ratios=[1, 1.7, 0.8])
        draw_ranks(left, ranks, failed, samples)
        draw_z(middle, numbers, failed, ["z2", *halves, *bands, *snr])
        draw_mira(right, numbers, failed)
        figure.suptitle(title)
    return figure


def low_end(key: str) -> int:
    """Lower end of a Fourier band, in cycles per image."""
    return int(key.removeprefix("z2_k"))


def spread(index: int, count: int, width: float = 0.5) -> float:
    """Horizontal offset of one of `count` samplers around a tick."""
    return (index - 0.5 * (count - 1)) * width / max(count, 2)


def draw_ranks(axes: plt.Axes, ranks: Mapping, failed: Mapping, samples: int) -> None:
    """Histograms of ranks over the expectation for uniform ranks, with two standard deviations of these shaded."""
    step = -(-(samples + 1) // 20)  # ranks in one bin, at most 20 bins
    edges = np.append(np.arange(0, samples + 1, step), samples + 1)
    whole, count = np.diff(edges) / (samples + 1), max(len(r) for r in ranks.values())
    scatter = 2 * np.sqrt((1 - whole) / whole / count)
    low, high = np.maximum(1 - scatter, 0), 1 + scatter
    axes.stairs(high, edges / (samples + 1), baseline=low, fill=True, color=LIGHT, zorder=0)
    for index, (name, found) in enumerate(ranks.items()):
        share = np.histogram(found, edges - 0.5)[0] / len(found) / whole
        colour = FAILED if "tarp_inside" in failed.get(name, ()) else PASSED[index % len(PASSED)]
        look = {"color": colour, "lw": 1.4, "ls": ("-", "--", ":", "-.")[index % 4], "label": name}
        axes.stairs(share, edges / (samples + 1), **look)
    axes.set_xlabel("Rank of the truth / samples")
    axes.set_ylabel("Simulations / expected")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, None)
    axes.legend(fontsize=7, frameon=False)
    axes.set_title("Ranks around estimates from the data", fontsize=8)


def draw_z(axes: plt.Axes, numbers: Mapping, failed: Mapping, groups: Sequence[str]) -> None:
    """z^2 of each group; open markers are held-out truths."""
    axes.axhspan(0.9, 1.1, color=LIGHT, lw=0)
    axes.axhline(1, color="0.4", lw=0.8)
    for index, (name, found) in enumerate(numbers.items()):
        for prefix, face in (("", None), ("held_out_", "white")):
            here = [(x, key) for x, key in enumerate(groups) if f"{prefix}{key}" in found]
            for x, key in here:
                bad = key in failed.get(name, ()) and not prefix
                colour = FAILED if bad else PASSED[index % len(PASSED)]
                value, error = found[f"{prefix}{key}"], found[f"{prefix}{key}_error"]
                place = x + spread(2 * index + bool(prefix), 2 * len(numbers), 0.8)
                look: dict[str, Any] = {
                    "color": colour,
                    "mfc": face or colour,
                    "fmt": MARKERS[index % len(MARKERS)],
                }
                label = name if (x, prefix) == (0, "") else None
                axes.errorbar(place, value, error, ms=4, elinewidth=0.8, label=label, **look)
    axes.set_yscale("log")
    axes.set_yticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.7), max(high, 1.45))
    names = [GROUPS.get(key) or f"k\n{low_end(key)}-{2 * low_end(key) or 2}" for key in groups]
    axes.set_xticks(range(len(groups)), names, fontsize=7)
    axes.set_ylabel(r"Mean squared z")
    axes.set_title("Filled: truths from the prior; open: held-out truths", fontsize=8)


def draw_mira(axes: plt.Axes, numbers: Mapping, failed: Mapping) -> None:
    """Deviation of MIRA from its calibrated value, in standard errors."""
    axes.axhspan(-3, 3, color=LIGHT, lw=0)
    axes.axhline(0, color="0.4", lw=0.8)
    for index, (name, found) in enumerate(numbers.items()):
        for prefix, face in (("", None), ("held_out_", "white")):
            if f"{prefix}mira_z" in found:
                bad = "mira_z" in failed.get(name, ()) and not prefix
                colour = FAILED if bad else PASSED[index % len(PASSED)]
                look: dict[str, Any] = {
                    "color": colour,
                    "mfc": face or colour,
                    "fmt": MARKERS[index % len(MARKERS)],
                }
                axes.errorbar(index + (0.15 if prefix else -0.15), found[f"{prefix}mira_z"], 1, ms=5, **look)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -5), max(high, 5))
    axes.set_xlim(-0.6, len(numbers) - 0.4)
    axes.set_xticks(range(len(numbers)), list(numbers))
    axes.set_ylabel("(MIRA - calibrated) / standard error")


COLUMNS = {
    "simulations": ("Simulations", lambda name: name == "simulations"),
    "tarp_inside": ("Coverage", lambda name: name == "tarp_inside"),
    "mira_z": ("MIRA\n(s.e.)", lambda name: name == "mira_z"),
    "z2": ("z2\npixels", lambda name: name == "z2"),
    "half": ("z2 worse\nhalf", lambda name: name in ("z2_faint", "z2_bright")),
    "k": ("z2 worst\nscale", lambda name: name.startswith("z2_k")),
    "snr": ("z2 worst\nSNR", lambda name: name.startswith("z2_snr")),
    "chi2": ("chi2 or\nresidual p", lambda name: name in ("chi2_mean", "pqmass_residual_p")),
    "pooled": ("Pooled\nPQMass p", lambda name: name == "pqmass_pooled_p"),
    "learned": ("PQMass of\nlearned models", lambda name: name.startswith("PQMass of")),
}


def worst(checks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The check farthest outside its allowed range, in units of the width of that range."""
    if not checks:
        return None

    def distance(check: Mapping[str, Any]) -> float:
        low, high = (check[key] if check[key] is not None else np.nan for key in ("low", "high"))
        if np.isnan(high) or high <= low:
            return 0.0 if check["passed"] else 9.0
        return abs(check["value"] - (low + high) / 2) / (high - low)

    return max(checks, key=distance)


def written(check: Mapping[str, Any]) -> str:
    """The value of a check as text."""
    if check["name"] == "tarp_inside":
        return "inside" if check["passed"] else "outside"
    return f"{check['value']:.0f}" if check["name"] == "simulations" else f"{check['value']:.2f}"


def draw_certificates(certificates: Mapping[str, Mapping[str, Any]], title: str = "") -> Figure:
    """A table of all certificates: measured values, red where they are not allowed.

    Arguments:
        certificates: by "<problem> / <sampler>", as :meth:`skyscore.validation.certificate.Certificate.content`.
    """
    rows = list(certificates)
    made = {check["name"] for content in certificates.values() for check in content["checks"]}
    columns = [(head, belongs) for head, belongs in COLUMNS.values() if any(map(belongs, made))]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(2.2 + 0.85 * (len(columns) + 1), 0.9 + 0.3 * len(rows)))
        for y, name in enumerate(rows):
            content = certificates[name]
            cells = [(content["certified"], "yes" if content["certified"] else "no")]
            for _, belongs in columns:
                check = worst([c for c in content["checks"] if belongs(c["name"])])
                cells.append((None, "-") if check is None else (check["passed"], written(check)))
            for x, (good, text) in enumerate(cells):
                colour = "white" if good is None else PALE if good else FAILED
                axes.add_patch(plt.Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, color=colour, lw=0))
                style: dict[str, Any] = {
                    "color": "0.1" if good in (None, True, 1) else "white",
                    "fontsize": 8,
                }
                axes.text(
                    x, y, text, ha="center", va="center", weight="bold" if x == 0 else "normal", **style
                )
        axes.set_xlim(-0.5, len(columns) + 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks(range(len(columns) + 1), ["Certified", *(head for head, _ in columns)], fontsize=7.5)
        axes.set_yticks(range(len(rows)), rows)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        if title:
            figure.suptitle(title)
    return figure
