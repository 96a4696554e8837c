"""Reads visibilities in UVFITS (random groups of FITS), the exchange format of interferometers.

The phase convention of the files is V = sum I exp(+2 pi i (u l + v m)), as in AIPS and CASA. The convention here has
the opposite sign, so the complex conjugate is returned.

Reference: Greisen (2020), AIPS Memo 117.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyscore.io import InputError, reading

__all__ = ["Visibilities", "is_uvfits", "phase_center", "read_uvfits"]

PARALLEL = ({1}, {-1, -2}, {-5, -6})  # codes of Stokes I, RR and LL, XX and YY


@dataclass
class Visibilities:
    """Stokes I: one row for each baseline, time and channel; only rows of positive finite weight.

    Attributes:
        uv: `(M, 2)` (wavelengths).
        V: `(M,)`, complex (Jy).
        weights: `(M,)`, inverse variance of the real and of the imaginary part (Jy^-2).
        time: `(M,)`, Julian date (days).
        stations: `(M, 2)`, numbers of the two stations.
    """

    uv: np.ndarray
    V: np.ndarray
    weights: np.ndarray
    time: np.ndarray
    stations: np.ndarray

    def __getitem__(self, rows) -> Visibilities:
        return Visibilities(*(value[rows] for value in vars(self).values()))


def is_uvfits(path: str | Path) -> bool:
    """Whether the first bytes of the file are those of FITS."""
    with reading(path, "file", "correct the path or download it again"), open(path, "rb") as file:
        return file.read(9) == b"SIMPLE  ="


def read_uvfits(path: str | Path) -> Visibilities:
    """Reads the visibilities of a UVFITS file with any number of channels and one spectral window.

    Stokes I is the mean of the two parallel hands. Files of Stokes I often store two identical copies; these are
    weighted once.

    Raises:
        InputError: for a file without random groups, a unit other than Jy, no Stokes I, several windows, or no usable
            row.
    """
    from astropy.io import fits

    remedy = "download it again, or give a UVFITS file"
    with reading(path, "UVFITS file, perhaps cut short", remedy), warnings.catch_warnings():
        warnings.simplefilter("error")  # astropy only warns about a file that is cut short
        with fits.open(path, memmap=False) as file:
            hdu = file[0]
            if not isinstance(hdu, fits.GroupsHDU):
                raise InputError(f"{path}: contains no random groups; {remedy}")
            header, table = hdu.header, hdu.data
            unit = str(header.get("BUNIT", "JY")).strip().upper()
            if unit not in ("", "JY"):
                raise InputError(f"{path}: the unit of the visibilities is {unit}; calibrate them to Jy")
            names = [str(header[f"PTYPE{k + 1}"]) for k in range(header["PCOUNT"])]
            parameters = [np.asarray(table.par(k), dtype=np.float64) for k in range(len(names))]
            V, weights, frequency = stokes_i(path, header, np.asarray(table.data, dtype=np.float64))

    def parameter(start: str) -> np.ndarray:
        found = [value for name, value in zip(names, parameters, strict=True) if name.startswith(start)]
        if not found:
            raise InputError(f"{path}: no group parameter {start!r}; {remedy}")
        return np.asarray(sum(found))  # a date may be stored in two parts

    seconds = np.stack((parameter("UU"), parameter("VV")), 1)
    uv = seconds[:, None] * frequency[:, None]  # (N, F, 2)
    rows, channels = np.nonzero(np.isfinite(weights) & (weights > 0) & np.isfinite(V))
    if not len(rows):
        raise InputError(f"{path}: no visibility has positive weight; {remedy}")
    found = Visibilities(
        uv[rows, channels],
        V[rows, channels].conj(),
        weights[rows, channels],
        parameter("DATE")[rows],
        baseline_stations(parameter("BASELINE")[rows]),
    )
    if not (np.isfinite(found.uv).all() and np.isfinite(found.time).all()):
        raise InputError(f"{path}: some baselines or times are not finite; {remedy}")
    return found


def phase_center(path: str | Path) -> tuple[float, float] | None:
    """Right ascension and declination of the phase centre (degree), None where the file has no such axes."""
    from astropy.io import fits

    with reading(path, "UVFITS file", "give a UVFITS file"):
        header = fits.getheader(path)
    axes = {str(header.get(f"CTYPE{k}", "")).strip(): k for k in range(2, header["NAXIS"] + 1)}
    found = [header.get(f"CRVAL{axes[name]}") if name in axes else None for name in ("RA", "DEC")]
    ra, dec = found
    return None if ra is None or dec is None else (float(ra), float(dec))


def stokes_i(path: str | Path, header, data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V and weights `(N, F)`, and the frequency of each channel `(F,)` (Hz), from the array of all groups."""
    axes = {str(header.get(f"CTYPE{k}", "")): k for k in range(2, header["NAXIS"] + 1)}
    missing = {"COMPLEX", "STOKES", "FREQ"} - set(axes)
    if missing:
        raise InputError(f"{path}: no axis {', '.join(sorted(missing))}; give a UVFITS file")
    # FITS counts axes from the last
    place = [data.ndim - axes[name] + 1 for name in ("FREQ", "STOKES", "COMPLEX")]
    data = np.moveaxis(data, place, (-3, -2, -1))
    if data[0].size != np.prod(data.shape[-3:]) or data.shape[-1] != 3:
        raise InputError(f"{path}: the file has several windows or fields; give one window of one field")
    data = data.reshape(len(data), *data.shape[-3:])  # (N, F, stokes, 3)

    def values(name: str, n: int) -> np.ndarray:
        reference, start, step = (float(header[f"{key}{axes[name]}"]) for key in ("CRPIX", "CRVAL", "CDELT"))
        return start + (np.arange(n) + 1 - reference) * step

    codes = np.round(values("STOKES", data.shape[2])).astype(int).tolist()
    hands = next((hands for hands in PARALLEL if hands & set(codes)), None)
    if hands is None:
        raise InputError(
            f"{path}: polarisations {codes} do not give Stokes I; give RR and LL, XX and YY, or I"
        )
    chosen = data[:, :, [k for k, code in enumerate(codes) if code in hands]]
    each, weight = chosen[..., 0] + 1j * chosen[..., 1], chosen[..., 2]
    usable = np.isfinite(weight) & (weight > 0) & np.isfinite(each)
    each, variance = np.where(usable, each, 0), 1 / np.where(usable, weight, np.inf)
    count = usable.sum(2)
    mean = each.sum(2) / np.maximum(count, 1)
    copies = usable.all(2) & (each == each[:, :, :1]).all(2) & (variance == variance[:, :, :1]).all(2)
    total = np.where(copies, variance[:, :, 0] * count**2, variance.sum(2))
    weights = np.divide(count**2, total, out=np.zeros(mean.shape), where=total > 0)
    return mean, weights, values("FREQ", data.shape[1])


def baseline_stations(code: np.ndarray) -> np.ndarray:
    """Numbers of the two stations, `(M, 2)`, from the code of a baseline.

    The code is 256 a + b, or 2048 a + b + 65536 for arrays of more than 255 stations.
    """
    code = np.floor(code).astype(np.int64)
    many = code > 65536
    base, code = np.where(many, 2048, 256), np.where(many, code - 65536, code)
    return np.stack((code // base, code % base), 1)
