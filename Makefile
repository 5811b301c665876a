# What a person or CI may ask for. `make` alone explains itself.
#
# Nothing is installed outside this folder but missing Debian packages, by
# deploy/lab/install-packages.sh (root or sudo); .venv/ and .tools/ hold the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
# Also for a user whose PATH has no sbin: mkfs and losetup live there.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCK := requirements/dev.lock

.DEFAULT_GOAL := help
.PHONY: help setup demo test nightly lint types format bench wheel lock clean

help: ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## make .venv from the hashed lock file
	@deploy/lab/install-packages.sh setup
	@$(MAKE) -s $(INSTALLED)

demo: ## from the first night to a disposal that is proven, in two to three minutes
	@deploy/lab/install-packages.sh demo
	@$(MAKE) -s $(INSTALLED)
	@deploy/lab/get-restic.sh >/dev/null
	@$(BIN)/python deploy/lab/demo.py

test: ## everything CI asks for: lint, types, tests on real servers
	@deploy/lab/install-packages.sh test
	@$(MAKE) lint types
	@deploy/lab/get-restic.sh --both >/dev/null
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

nightly: ## sanitize emulated drives in QEMU; needs no kernel but Debian's, which it fetches
	@deploy/lab/install-packages.sh nightly
	@$(MAKE) -s $(INSTALLED)
	@$(BIN)/python -m tests.nightly.run

lint: $(INSTALLED) ## ruff, and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-cache

types: $(INSTALLED) ## mypy, strict
	@$(BIN)/mypy

format: $(INSTALLED) ## let ruff put the source in order
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

bench: ## speed against plain restic and borg, as ratios within one run
	@deploy/lab/install-packages.sh bench
	@$(MAKE) -s $(INSTALLED)
	@deploy/lab/get-restic.sh >/dev/null
	@$(BIN)/python benchmarks/run.py

wheel: $(INSTALLED) ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .

lock: ## pin the newest allowed versions of everything, with hashes
	@deploy/lab/lock-requirements.sh

clean: ## remove what was built; .venv and .tools stay
	@rm -rf build dist demo-site .lab .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@rm -rf .import_linter_cache *.egg-info
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(INSTALLED): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or later is needed: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
	  { echo 'making $(VENV)'; rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@
