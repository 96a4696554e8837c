"""Control of the tests: ensembles with a known posterior are certified by the same code as all others.

Writes control.json, with numbers control/<method>/<metric>. Exact draws must be certified; the convolved likelihood
approximation and draws that are too wide must not.
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
