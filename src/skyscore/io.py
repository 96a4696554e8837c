"""Reading and writing: every file of the project goes through here.

* Writing is atomic: a temporary name in the same folder, flushed to disk, then renamed. No half file is left.
* Reading checks: what is not as it should be raises `InputError`, one line: the file, what is wrong, what to do.
* HDF5 data sets carry names for their axes and a unit; every file carries its `provenance`.
* Axis order is (n, C, H, W); row index = +y, column = +x (see docs/conventions.md).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from skyscore import provenance as origin

if TYPE_CHECKING:
    import torch

    from skyscore.problems.base import Observation, Problem
    from skyscore.samplers import Samples

__all__ = [
    "InputError",
    "atomic",
    "check_imaging",
    "generator",
    "logged",
    "pick_device",
    "read_dataset",
    "read_fits",
    "read_json",
    "read_observation",
    "read_panels",
    "read_samples",
    "read_weights",
    "write_bytes",
    "write_dataset",
    "write_figure",
    "write_fits",
    "write_json",
    "write_numbers",
    "write_observation",
    "write_panels",
    "write_samples",
    "write_text",
    "write_weights",
]

SAMPLE_AXES = ("n", "channel", "y", "x")
IMAGE_AXES = {1: ("x",), 2: ("y", "x"), 3: ("channel", "y", "x"), 4: SAMPLE_AXES}


class InputError(ValueError):
    """An input cannot be used. The message is one line: the file, what is wrong with it, what to do."""


# ---------------------------------------------------------------------------------------------- jobs


@contextlib.contextmanager
def logged(
    path: str | Path | None,
    threads: int | None = None,
    config: Mapping | None = None,
    rule: str | None = None,
) -> Iterator[None]:
    """Run a job with its output in the log file `path`; end a failing one with one clear line and exit code 1.

    An `InputError` puts its one line into the log and on the terminal. Any other exception puts its traceback into the
    log, and on the terminal one line that says where the log is. `threads` bounds torch's threads.
    """
    terminal = sys.stderr
    origin.begin(config, rule)
    if path is None:
        yield
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with (
        open(path, "w", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            if threads:
                set_threads(threads)
            yield
        except InputError as error:
            message = f"skyscore: error: {error}"
        except MemoryError:
            message = f"skyscore: error: out of memory in {rule or 'the job'}; see {path}"
            traceback.print_exc(file=log)
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            message = f"skyscore: error: {type(error).__name__}: {first} (traceback in {path})"
            traceback.print_exc(file=log)
        else:
            return
        print(message, file=log)
    print(message, file=terminal, flush=True)
    raise SystemExit(1)


def set_threads(threads: int) -> None:
    """Bound the threads of torch's and the linear-algebra libraries' pools to what the scheduler gave this job."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)  # inherited by children; torch itself is told below
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(int(threads))


def pick_device(device: str = "auto") -> str:
    """ "auto" -> "cuda" where a GPU can be used, else "cpu"; other names pass through."""
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def generator(seed: int, device: str = "cpu") -> torch.Generator:
    """A torch random generator on `device` ("auto" picks the GPU if there is one) with the given seed."""
    import torch

    return torch.Generator(device=pick_device(device)).manual_seed(int(seed))


# ---------------------------------------------------------------------------------------------- atomic writing


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it is flushed to disk and renamed to `path`, else removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        with contextlib.suppress(OSError):  # not every file system lets a folder be flushed
            flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


# ---------------------------------------------------------------------------------------------- JSON


def plain(value: Any) -> Any:
    """Numpy and torch scalars, arrays, tuples and paths as what JSON knows; a non-finite number becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy and torch
        return plain(value.tolist())
    return str(value)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; non-finite numbers become null."""
    write_text(path, json.dumps(plain(content), indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Content of a JSON file; InputError if it is absent or not JSON."""
    try:
        return json.loads(existing(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); delete it and run again") from error


def write_numbers(
    path: str | Path, numbers: Mapping[str, float], source: Mapping | None = None, **content: Any
) -> None:
    """Write a validating job's result: {"numbers": {flat name: finite number}, "provenance": ..., further content}."""
    flat = {}
    for name, value in numbers.items():
        value = plain(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(
                f"{path}: the number {name!r} is {value!r}, not a finite number; see the job's log"
            )
        flat[str(name)] = value
    write_json(path, {"numbers": flat, **content, "provenance": source or origin.provenance()})


# ---------------------------------------------------------------------------------------------- HDF5


def existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; let snakemake make it or correct the path")
    return path


def write_hdf5(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    attrs: Mapping[str, Any],
    axes: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
) -> None:
    """Write arrays with named axes and units, and JSON-able attributes (one JSON text each), atomically."""
    import h5py

    with atomic(path) as temporary:
        with h5py.File(temporary, "w", libver=("v108", "latest")) as file:  # attributes beyond 64 kB
            for name, array in arrays.items():
                array = as_array(array)
                data = file.create_dataset(name, data=array, **compression(array))
                data.attrs["units"] = (units or {}).get(name, "1")
                labels = (axes or {}).get(name) or IMAGE_AXES.get(array.ndim, ())
                for axis, label in zip(data.dims, labels, strict=False):
                    axis.label = label
            for name, value in attrs.items():
                file.attrs[name] = json.dumps(plain(value))


def compression(array: np.ndarray) -> dict[str, Any]:
    return {"compression": "gzip", "compression_opts": 1, "shuffle": True} if array.size > 4096 else {}


def as_array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


@contextlib.contextmanager
def open_hdf5(path: str | Path) -> Iterator[Any]:
    import h5py

    try:
        file = h5py.File(existing(path), "r")
    except OSError as error:
        raise InputError(
            f"{path}: not a readable HDF5 file, perhaps cut short; delete it and run again"
        ) from error
    with file:
        yield file


def read_attrs(file: Any) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in file.attrs.items()}


def member(file: Any, name: str) -> np.ndarray:
    if name not in file:
        held = ", ".join(file) or "nothing"
        raise InputError(
            f"{file.filename}: holds no data set {name!r} (it holds {held}); delete it and run again"
        )
    try:
        return file[name][()]
    except OSError as error:
        raise InputError(
            f"{file.filename}: {name!r} cannot be read, the file is damaged; delete it, run again"
        ) from error


def write_dataset(
    path: str | Path, source: Mapping | None = None, unit: str = "prior units", **splits: Any
) -> None:
    """Write a training set: one data set (n, C, H, W) for each named split, such as `train` and `held_out`."""
    write_hdf5(path, splits, {"provenance": source or origin.provenance()}, units=dict.fromkeys(splits, unit))


def read_dataset(path: str | Path, split: str = "train", n: int | None = None) -> np.ndarray:
    """The images (n, C, H, W) of one split of a training set; only the first `n` if given."""
    with open_hdf5(path) as file:
        if n is not None and split in file:
            return file[split][:n]
        return member(file, split)


def write_observation(path: str | Path, observation: Observation, source: Mapping | None = None) -> None:
    """Write an observation: its arrays, kind and attributes (`units` and `axes` there name those of the arrays)."""
    attrs = {
        "problem": observation.problem,
        "attrs": observation.attrs,
        "provenance": source or origin.provenance(),
    }
    units, axes = observation.attrs.get("units"), observation.attrs.get("axes")
    write_hdf5(
        path, observation.arrays, attrs, axes=axes, units=units if isinstance(units, Mapping) else None
    )


def read_observation(path: str | Path) -> Observation:
    """An observation as `write_observation` left it."""
    from skyscore.problems.base import Observation

    with open_hdf5(path) as file:
        attrs = read_attrs(file)
        if "problem" not in attrs:
            raise InputError(
                f"{path}: not an observation (no attribute 'problem'); delete it and run rule observe"
            )
        return Observation(attrs["problem"], {name: file[name][()] for name in file}, attrs["attrs"])


def write_samples(
    path: str | Path,
    samples: Samples,
    problem: Problem | None = None,
    source: Mapping | None = None,
    **attrs: Any,
) -> None:
    """Write samples (n, C, H, W): `samples` in prior units and, where a problem gives a scale, `physical` beside it."""
    arrays, units = {"samples": as_array(samples.x)}, {"samples": "prior units"}
    if problem is not None:
        arrays["physical"] = as_array(problem.to_physical(samples.x))
        units["physical"] = str(problem.unit)
    made = {"nfe": samples.nfe, "nvjp": samples.nvjp, "diagnostics": summary(samples.diagnostics)}
    write_hdf5(path, arrays, {**made, **attrs, "provenance": source or origin.provenance()}, units=units)


def summary(diagnostics: Mapping[str, Any]) -> dict[str, Any]:
    """Diagnostics without arrays too large for an attribute (HDF5 allows 64 kB)."""
    return {name: value for name, value in plain(diagnostics).items() if len(json.dumps(value)) < 20_000}


def read_samples(path: str | Path, name: str = "samples") -> tuple[np.ndarray, dict[str, Any]]:
    """The samples (n, C, H, W) ("samples": prior units; "physical": observed units) and the file's attributes."""
    with open_hdf5(path) as file:
        return member(file, name), read_attrs(file)


def write_panels(path: str | Path, panels: Sequence[Any], source: Mapping | None = None) -> None:
    """Write what a figure shows: the image of each panel and what is written around it."""
    arrays = {f"{index:02d}": panel.image for index, panel in enumerate(panels)}
    about = [{key: value for key, value in vars(panel).items() if key != "image"} for panel in panels]
    units = {name: str(item.get("unit", "1")) for name, item in zip(arrays, about, strict=True)}
    write_hdf5(path, arrays, {"panels": about, "provenance": source or origin.provenance()}, units=units)


def read_panels(path: str | Path) -> list[SimpleNamespace]:
    """The panels of a figure, with the attributes of `skyscore.problems.Panel`."""
    with open_hdf5(path) as file:
        about = read_attrs(file)["panels"]
        return [
            SimpleNamespace(image=member(file, f"{index:02d}"), **item) for index, item in enumerate(about)
        ]


# ---------------------------------------------------------------------------------------------- weights


def write_weights(path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a network's tensors and text metadata as safetensors, atomically."""
    from safetensors.torch import save_file

    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        save_file(held, temporary, metadata={str(key): str(value) for key, value in metadata.items()})


def read_weights(path: str | Path, device: str = "cpu") -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Anything else, a pickle above all, is refused and never loaded."""
    from safetensors import SafetensorError, safe_open

    with open(existing(path), "rb") as file:
        head = file.read(9)
    if head[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or head[8:9] != b"{":
        kind = "a pickle (torch.save)" if head[:2] == b"PK" or head[:1] == b"\x80" else "of another format"
        raise InputError(
            f"{path}: weights must be safetensors, this file is {kind}; refused, give a .safetensors file"
        )
    try:
        with safe_open(path, framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})
    except SafetensorError as error:
        raise InputError(
            f"{path}: not a readable safetensors file ({error}); fetch or train it again"
        ) from error


# ---------------------------------------------------------------------------------------------- FITS


def read_fits(path: str | Path, shape: tuple[int, ...] | None = None, hdu: int = 0) -> np.ndarray:
    """The image of a FITS file, native byte order, float64.

    Raises:
        InputError: not FITS, cut short, no image there, or not of the given `shape`.
    """
    import warnings

    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # astropy only warns about a file that is cut short
            with fits.open(existing(path), memmap=False) as file:
                data = file[hdu].data
    except InputError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: not a readable FITS file, perhaps cut short ({first}); download it again"
        ) from error
    if data is None or data.dtype.fields is not None:
        raise InputError(f"{path}: HDU {hdu} holds no image; give a FITS file with an image there")
    if shape is not None and data.shape != tuple(shape):
        raise InputError(
            f"{path}: the image has shape {data.shape}, expected {tuple(shape)}; give files that fit together"
        )
    return data.astype(np.float64)


def check_imaging(
    image: np.ndarray,
    noise: np.ndarray,
    psf: np.ndarray,
    mask: np.ndarray | None = None,
    names: Mapping[str, str] | None = None,
) -> None:
    """Check that an image, its noise map, PSF and mask fit together.

    Arguments:
        image: Observed image (H, W).
        noise: Standard deviation of each pixel (H, W), same unit.
        psf: Point-spread function (h, w), odd sides, not larger than the image.
        mask: True (or non-zero) where a pixel is NOT used (H, W).
        names: Names of the files for the message, by "image", "noise", "psf", "mask".

    Raises:
        InputError: shapes that do not fit, not-a-number in a used pixel, noise that is not positive, PSF without flux.
    """
    name = {
        "image": "image",
        "noise": "noise map",
        "psf": "PSF",
        "mask": "mask",
        **{k: str(v) for k, v in (names or {}).items()},
    }
    if image.ndim != 2:
        raise InputError(
            f"{name['image']}: the image has {image.ndim} axes, expected 2; give one band as a 2-D image"
        )
    for key, array in (("noise", noise), ("mask", mask)):
        if array is not None and array.shape != image.shape:
            raise InputError(
                f"{name[key]}: shape {array.shape} does not fit the image {name['image']} {image.shape}; cut both alike"
            )
    if (
        psf.ndim != 2
        or psf.shape[0] % 2 == 0
        or psf.shape[1] % 2 == 0
        or any(p > i for p, i in zip(psf.shape, image.shape, strict=True))
    ):
        raise InputError(
            f"{name['psf']}: shape {psf.shape} cannot be used with an image of {image.shape}; "
            "the PSF needs two odd sides, not larger than the image, centred on its middle pixel"
        )
    if not np.isfinite(psf).all() or psf.sum() <= 0:
        raise InputError(f"{name['psf']}: the PSF is not finite or has no flux; give one with a positive sum")
    used = np.ones(image.shape, bool) if mask is None else ~np.asarray(mask, bool)
    if not used.any():
        raise InputError(
            f"{name['mask']}: no pixel is left unmasked; the convention is 1 = masked out, 0 = used"
        )
    bad = int((~np.isfinite(image) & used).sum())
    if bad:
        raise InputError(
            f"{name['image']}: {bad} unmasked pixel(s) are not finite (NaN or infinite); mask or repair them"
        )
    bad = int((~(np.isfinite(noise) & (noise > 0)) & used).sum())
    if bad:
        raise InputError(
            f"{name['noise']}: {bad} unmasked pixel(s) have zero, negative or non-finite noise; mask or repair them"
        )


def write_fits(path: str | Path, samples: Samples, problem: Problem, source: Mapping | None = None) -> None:
    """Write a posterior for FITS viewers: primary image = mean, extensions STD and SAMPLES, all in observed units.

    One channel gives images (y, x) and a cube (n, y, x); several give a channel axis before (y, x). The header carries
    the pixel scale (a linear offset in arcsec from the grid's centre, or the sky where `problem.wcs` is known), the
    unit and the provenance.
    """
    from astropy.io import fits

    x = as_array(problem.to_physical(samples.x)).astype(np.float64)
    x = x[:, 0] if x.ndim == 4 and x.shape[1] == 1 else x
    source = source or origin.provenance()
    header = fits.Header(
        [*scale_cards(problem, x.shape[-2:]), unit_card(problem.unit), *origin.fits_cards(plain(source))]
    )
    header.add_history(json.dumps(plain(source)))
    hdus = []
    for name, data in (("MEAN", x.mean(0)), ("STD", x.std(0, ddof=min(1, len(x) - 1))), ("SAMPLES", x)):
        kind = fits.ImageHDU if hdus else fits.PrimaryHDU
        hdu = kind(data.astype(np.float32), header=header.copy())
        hdu.header["EXTNAME"] = (name, f"posterior {name.lower()}, {len(x)} samples")
        hdus.append(hdu)
    with atomic(path) as temporary:
        fits.HDUList(hdus).writeto(temporary, checksum=True, output_verify="exception")


def unit_card(unit: Any) -> tuple[str, str, str]:
    """BUNIT in the spelling of the FITS standard; a unit it does not know is written as it is."""
    from astropy import units

    try:
        return "BUNIT", units.Unit(str(unit)).to_string("fits"), "unit of the pixel values"
    except ValueError:
        return "BUNIT", str(unit), "unit of the pixel values"


def scale_cards(problem: Problem, shape: tuple[int, int]) -> list[tuple[str, Any, str]]:
    """World coordinates: the problem's own cards if it knows the sky, else offsets in arcsec from the centre."""
    height, width = shape
    scale = float(problem.pixel_scale)
    if getattr(problem, "wcs", None):
        return [
            *((key, value, "") for key, value in dict(problem.wcs).items()),
            ("PIXSCALE", scale, "[arcsec] pixel side"),
        ]
    return [
        ("CTYPE1", "XOFFSET", "offset from the centre, +x to the right"),
        ("CTYPE2", "YOFFSET", "offset from the centre, +y up"),
        ("CUNIT1", "arcsec", ""),
        ("CUNIT2", "arcsec", ""),
        ("CRPIX1", (width + 1) / 2, "centre of the grid"),
        ("CRPIX2", (height + 1) / 2, "centre of the grid"),
        ("CRVAL1", 0.0, "[arcsec]"),
        ("CRVAL2", 0.0, "[arcsec]"),
        ("CDELT1", scale, "[arcsec] pixel side"),
        ("CDELT2", scale, "[arcsec] pixel side"),
        ("PIXSCALE", scale, "[arcsec] pixel side"),
    ]


# ---------------------------------------------------------------------------------------------- figures


def write_figure(
    paths: Sequence[str | Path], figure: Any, source: Mapping | None = None, dpi: int = 150
) -> None:
    """Save a matplotlib figure under each path (.pdf, .png) with its provenance in the file's metadata, atomically."""
    text = json.dumps(plain(source or origin.provenance()))
    for path in map(Path, paths):
        key = "Keywords" if path.suffix == ".pdf" else "Description"
        metadata = {key: text, "Title": path.stem}
        with atomic(path) as temporary:
            figure.savefig(temporary, dpi=dpi, metadata=metadata, bbox_inches="tight")
