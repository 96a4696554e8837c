"""The certificate of one sampler on one problem. Reads the numbers of all its tests; writes certificate.json.

Numbers: <problem>/<sampler>/certified, 0 or 1; and <problem>/certified for the problem's default sampler. The file also
holds every check with its value and allowed range, and the reasons of a refusal.
"""

from skyscore import io
from skyscore.provenance import provenance
from skyscore.validation.certificate import certify


def main(tests, priors, certificate, *, problem, sampler, default, learned_noise=False, code=None):
    contents = [io.read_json(path) for path in tests]
    found = {key: value for content in contents for key, value in content["numbers"].items()}
    own = {key.removeprefix(f"{problem}/{sampler}/"): value for key, value in found.items()}
    learned = {}
    for path in priors:
        for key, value in io.read_json(path)["numbers"].items():
            if key.endswith("/pqmass_chi2_dof"):
                learned[key.split("/")[0]] = value
    verdict = certify(own, learned, learned_noise)
    flat = {f"{problem}/{sampler}/certified": int(verdict.certified)}
    if default:
        flat[f"{problem}/certified"] = int(verdict.certified)
    print("certified" if verdict.certified else "not certified:\n  " + "\n  ".join(verdict.reasons))
    io.write_numbers(certificate, flat, provenance(code=code), certificate=verdict.content())


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(
            list(snakemake.input.tests),
            list(snakemake.input.priors),
            **snakemake.output,
            **snakemake.params,
        )
