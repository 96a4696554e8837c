# Needs Python 3.11+ and make. Everything is installed into .venv; nothing outside this folder is changed.
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu    takes torch from that index (a smaller build without CUDA)
#   make demo CORES=4 PYTHON=python3.12

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-conda test-fast test-slurm bench docs site reliability recover lint clean

CORES ?= all
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
TORCH_INDEX ?=
BIN := .venv/bin
INSTALLED := .venv/.installed
COMPARED := .venv/.compared
DOCUMENTED := .venv/.documented
# pip asks no questions and does not look for a newer version of itself
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# the tools of .venv come first, also for the jobs that snakemake starts
export PATH := $(CURDIR)/$(BIN):$(PATH)

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

demo: $(INSTALLED)  ## everything at laptop scale: priors, four problems, certificates, exact benchmark, figures, numbers
	snakemake --cores $(CORES)

test: $(INSTALLED) $(COMPARED) $(DOCUMENTED) lint  ## the whole test suite, formatting and lint included
	pytest -n 2 --dist loadfile --no-loadscope-reorder  # two processes for two cores; fixtures belong to files

test-conda: $(INSTALLED)  ## the test configuration, each rule in an environment of its own (a stand-in for conda; no network)
	pytest -rs tests/system/conda/run_on_conda.py

test-fast: $(INSTALLED)  ## the tests without the end-to-end runs
	pytest -m "not slow"

test-slurm: $(INSTALLED)  ## profiles/slurm on a real SLURM that is started for it (root, Debian packages slurm-wlm and munge)
	pytest -rs tests/system/slurm/run_on_slurm.py

lint: $(INSTALLED)  ## formatting, lint, direction of imports and types
	ruff check .
	ruff format --check .
	snakefmt --check --compact-diff Snakefile workflow
	snakemake --lint
	PYTHONPATH=src:workflow lint-imports
	mypy

bench: $(INSTALLED) $(COMPARED)  ## the ratios the README quotes, into results/bench.json; azula beside
	PYTHONPATH=src python -m benchmarks.run

docs: $(INSTALLED) $(DOCUMENTED)  ## write the made parts of README.md and docs/: numbers and pictures of the runs in results/, tables, rule graph
	python -m docs.make

site: $(INSTALLED) $(DOCUMENTED)  ## build the documentation as a web site, site/html/index.html; a warning is an error, and no network is needed
	sphinx-build --builder html --fail-on-warning --keep-going --quiet docs site/html
	@echo "built site/html/index.html"

reliability: $(INSTALLED) $(DOCUMENTED)  ## kill, truncate and fill up what runs, and write the record in docs/explanation/reliability.md
	SKYSCORE_TRIES=3 SKYSCORE_RELIABILITY=docs/results/reliability.json pytest tests/system/faults
	python -m docs.make

recover: $(INSTALLED)  ## after a kill: remove a stale lock, set damaged files aside (every run does this before its first job)
	PYTHONPATH=src:workflow python -m plan.restart

clean:  ## remove results and caches; data/, weights/, checkpoints/ and .venv stay
	rm -rf site .snakemake .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	if [ -d results ]; then find results -mindepth 1 -maxdepth 1 ! -name bench.json -exec rm -rf {} +; fi

# the stamp is written last, so an interrupted installation continues
$(INSTALLED): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "error: no Python 3.11 or newer was found; install one or name it: make demo PYTHON=/path/to/python3" >&2; exit 1; fi
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		echo "error: $(PYTHON) cannot make a virtual environment; install its venv module (Debian, Ubuntu: python3-venv)" >&2; rm -rf .venv; exit 1; }
	@echo "Installing the pinned packages into .venv (about 1.5 GB, once)"
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' requirements.lock)"
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# the packages that results are compared with, without their own requirements
$(COMPARED): requirements.bench.lock $(INSTALLED)
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements.bench.lock
	@touch $@

# what writes the pages and builds the site
$(DOCUMENTED): requirements.docs.lock $(INSTALLED)
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements.docs.lock
	@touch $@
