"""Reading and writing of all files of the project.

* Writing is atomic: a temporary file in the same folder is flushed to disk and then renamed. No partial file is left.
* The SHA-256 of each file is stored beside it and compared before the file is read. Damage is an error in any format.
* Reading checks the content. Unusable content raises `InputError` with one line: the file, the fault, the remedy.
* HDF5 data sets carry axis names and a unit; every file carries its `provenance`.
* Axis order is (n, C, H, W); row index = +y, column index = +x (see docs/reference/conventions.md).
"""

from .ensembles import read_ensemble, read_simulations, write_ensemble, write_simulations
from .figures import write_figure
from .files import InputError, atomic, flush, reading, write_bytes, write_text
from .fits import read_columns, read_fits, read_header, write_fits
from .imaging import check_imaging
from .jobs import logged
from .maps import read_map
from .products import (
    read_dataset,
    read_observation,
    read_panels,
    read_provenance,
    read_samples,
    write_dataset,
    write_observation,
    write_panels,
    write_samples,
)
from .records import read_json, short_keys, write_json, write_numbers
from .report import csv_table, write_caption
from .weights import read_weights, write_weights

__all__ = [
    "InputError",
    "atomic",
    "check_imaging",
    "csv_table",
    "flush",
    "logged",
    "read_columns",
    "read_dataset",
    "read_ensemble",
    "read_fits",
    "read_header",
    "read_json",
    "read_map",
    "read_observation",
    "read_panels",
    "read_provenance",
    "read_samples",
    "read_simulations",
    "read_weights",
    "reading",
    "short_keys",
    "write_bytes",
    "write_caption",
    "write_dataset",
    "write_ensemble",
    "write_figure",
    "write_fits",
    "write_json",
    "write_numbers",
    "write_observation",
    "write_panels",
    "write_samples",
    "write_simulations",
    "write_text",
    "write_weights",
]
