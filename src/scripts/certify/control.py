"""The test of the tests: ensembles whose posterior is known, certified by the code that certifies all others.

Writes control.json: exact draws must be certified; the convolved likelihood approximation and too wide draws must
not; numbers control/<method>/<metric>.
"""

from skyscore import io
from skyscore.provenance import provenance
from skyscore.validation.control import METHODS, control


def main(numbers, *, settings, seed, code=None):
    flat, curves, certificates = {}, {}, {}
    for method in METHODS:
        found, verdict, curves[method] = control(method, **settings, seed=seed)
        print(method, "certified" if verdict.certified else "; ".join(verdict.reasons), flush=True)
        flat |= {f"control/{method}/{key}": value for key, value in found.items()}
        certificates[method] = verdict.content()
    source = provenance(settings, seed, code=code)
    io.write_numbers(numbers, flat, source, curves=curves, certificates=certificates)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.output, **snakemake.params)
