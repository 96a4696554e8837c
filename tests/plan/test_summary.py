"""What a finished run says."""

from __future__ import annotations

from plan.summary import headlines, report_command

NUMBERS = {
    "lens/mmps/chi2_dof": 1.0412,
    "lens/mmps/tarp_p": 0.789,
    "lens/mmps/certified": 0,
    "lens/cla/chi2_dof": 2.0,
    "lens/einstein_radius_arcsec": 1.4621,
    "radio/mmps/certified": 1,
    "exact/tds/blur/ratio": 1.0,
    "exact/tds/coarse/ratio": 1.5,
    "exact/cla/blur/ratio": 3.0,
}


def test_headlines():
    said = headlines(NUMBERS, "results/demo", "make it", {"lens": "mmps", "radio": "mmps", "hst": "slic"})
    assert [line.split() for line in said.splitlines()] == [
        line.split()
        for line in (
            "Done. 9 numbers in results/demo/numbers.json, figures in results/demo/figures",
            "lens / mmps  chi2 per datum 1.041, coverage p 0.79, not certified, Einstein radius 1.462 arcsec",
            "radio / mmps certified",
            "exact / tds  1.25 times the least distance, mean of 2 tasks",
            "exact / cla  3.00 times the least distance, mean of 1 tasks",
            "Report: make it",
        )
    ]


def test_a_run_without_posteriors_names_its_report():
    said = headlines({}, "results/x", "make it", {"lens": "mmps"}).splitlines()
    assert said == ["Done. Figures in results/x/figures", "Report: make it"]


def test_the_report_is_that_of_the_same_configuration():
    assert report_command("results/demo", [], {}) == "snakemake --report results/demo/report.html"
    said = report_command(
        "r", ["config/test.yaml", "a b.yaml"], {"train": "full", "pathvars": {"results": "r"}}
    )
    assert said == (
        "snakemake --report r/report.html --configfile config/test.yaml 'a b.yaml' "
        """--config train=full 'pathvars={'"'"'results'"'"': '"'"'r'"'"'}'"""
    )


def test_the_report_is_that_of_the_same_targets():
    """Snakemake asks for the files of all targets, and those of `all` are not there after another one."""
    said = report_command("r", ["a.yaml"], {}, {"samplers", "figures"})
    assert said == "snakemake --report r/report.html --configfile a.yaml -- figures samplers"
