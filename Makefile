# For a bare machine with Python 3.11+ and make. Everything goes into .venv; nothing outside this folder is touched.
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu    takes torch from there (a smaller build without CUDA)
#   make demo CORES=4 PYTHON=python3.12

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-conda test-fast test-slurm bench docs reliability lint clean

CORES ?= all
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
TORCH_INDEX ?=
BIN := .venv/bin
INSTALLED := .venv/.installed
COMPARED := .venv/.compared
# no question is ever asked and nothing is looked up but the packages
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# the tools of .venv come first, also for what snakemake starts
export PATH := $(CURDIR)/$(BIN):$(PATH)

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

demo: $(INSTALLED)  ## everything at laptop scale: priors, four problems, certificates, exact benchmark, figures, numbers
	snakemake --cores $(CORES)

test: $(INSTALLED) $(COMPARED) lint  ## the whole test suite, formatting and lint included
	pytest -n 2 --dist loadfile --no-loadscope-reorder  # one process a core of two; fixtures belong to files

test-conda: $(INSTALLED)  ## the test configuration, each rule in an environment of its own (a stand-in for conda; no network)
	PATH="$(CURDIR)/tests/system/conda/bin:$$PATH" snakemake --cores $(CORES) --use-conda --configfile config/test.yaml

test-fast: $(INSTALLED)  ## the tests without the end-to-end runs
	pytest -m "not slow"

test-slurm: $(INSTALLED)  ## profiles/slurm on a real SLURM that lives for minutes (root, Debian packages slurm-wlm and munge)
	pytest -rs tests/system/slurm/run_on_slurm.py

lint: $(INSTALLED)  ## formatting and lint of Python and Snakemake code
	ruff check .
	snakefmt --check --compact-diff Snakefile workflow
	snakemake --lint

bench: $(INSTALLED) $(COMPARED)  ## the ratios the README quotes, into results/bench.json; azula beside
	PYTHONPATH=src python -m benchmarks.run

docs: $(INSTALLED)  ## numbers and pictures of the runs in results/, rule graph and messages into README.md and docs/
	python -m docs.make.numbers

reliability: $(INSTALLED)  ## kill, truncate and fill up what runs, and write docs/reliability.md
	SKYSCORE_TRIES=3 SKYSCORE_RELIABILITY=docs/results/reliability.json pytest tests/system/test_faults.py
	python -m docs.make.reliability

clean:  ## remove results and caches; data/, weights/, checkpoints/ and .venv stay
	rm -rf .snakemake .pytest_cache .ruff_cache .hypothesis logs benchmarks
	if [ -d results ]; then find results -mindepth 1 -maxdepth 1 ! -name bench.json -exec rm -rf {} +; fi

# the stamp is touched last: an installation that was interrupted is taken up again
$(INSTALLED): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "error: no Python 3.11 or newer was found; install one or name it: make demo PYTHON=/path/to/python3" >&2; exit 1; fi
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		echo "error: $(PYTHON) cannot make a virtual environment; install its venv module (Debian, Ubuntu: python3-venv)" >&2; rm -rf .venv; exit 1; }
	@echo "Installing the pinned packages into .venv (about 1.5 GB, once)"
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' requirements.lock)"
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# what it is measured against, without what that asks for
$(COMPARED): requirements.bench.lock $(INSTALLED)
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements.bench.lock
	@touch $@
