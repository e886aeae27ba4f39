# Everything a fresh checkout can do. It needs Python >= 3.11 with its venv module, make, and the package index.
#
#   make demo     the main job on a local mail server, in about a minute
#   make test     every test but the long proofs
#
# `make help` lists the rest.

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --no-input --disable-pip-version-check --quiet
INSTALL := $(PIP) install --require-hashes --requirement
UV := build/uv/bin/uv

# Else each run, and each test process, rewrites and compiles every test.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test proof contract lint types examples bench mutate tables lock clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/run.stamp  ## the main job on a local mail server, in about a minute
	$(BIN)/mailrotate demo

# tests/test_house.py holds the import contract, so that it is part of the tests.
test: $(VENV)/dev.stamp  ## every test but the long proofs (about 6 minutes on two cores)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not proof" --durations=20

proof: $(VENV)/dev.stamp  ## the long proofs: crashes, restores, simulated days (about 19 minutes on two cores)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m proof --durations=20

contract: $(VENV)/dev.stamp  ## which package may import which
	$(BIN)/lint-imports

lint: $(VENV)/dev.stamp  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp  ## strict types
	$(BIN)/mypy --strict

examples: $(VENV)/dev.stamp  ## the commands of the README and of every --help still run
	$(BIN)/python tools/check_examples.py

bench: $(VENV)/dev.stamp  ## the measurements, as ratios inside one run (QUICK=1: smaller ones, in about five minutes)
	$(BIN)/python -m benchmarks

mutate: $(VENV)/mutate.stamp  ## small changes of the code that no test notices, against docs/mutants.md (by hand; it takes long)
	$(BIN)/python tools/mutants.py

tables: $(VENV)/dev.stamp  ## write the tables that queries use, after a change in core/store/rows/
	$(BIN)/python tools/query_tables.py

# Pins that still fit stay; `make lock UPGRADE=--upgrade` takes the newest of each.
# The other files take their versions from the first, so that all fit into one environment.
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)
PROJECT = --all-extras pyproject.toml requirements/build.in

lock: $(UV)  ## pin every dependency of pyproject.toml anew
	$(LOCK) $(PROJECT) --group dev --output-file requirements/dev.txt
	$(LOCK) $(PROJECT) --constraint requirements/dev.txt --output-file requirements/run.txt
	$(LOCK) --group mutate --constraint requirements/dev.txt --output-file requirements/mutate.txt

clean:  ## remove what these commands made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is as old as its stamp. Both sets live in one: what `run` pins, `dev` pins alike.
$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "mailrotate needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1);" \
	    "name another one: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	$(INSTALL) requirements/dev.txt
	@touch $@

$(VENV)/mutate.stamp: $(VENV)/dev.stamp requirements/mutate.txt
	$(INSTALL) requirements/mutate.txt
	@touch $@

$(UV):
	$(PYTHON) -m venv --clear build/uv
	build/uv/bin/python -m pip --no-input --disable-pip-version-check --quiet install uv
