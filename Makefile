# All commands of the project. `make` alone lists them.
# Each installs what it needs into .venv, from the versions in constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := automix_mm configs tests tools setup.py

# The first interpreter that really runs, in a supported version, and can create an environment.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.10 python3; do \
	$$name -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
	>/dev/null 2>&1 && echo $$name && break; done)

# Small tensors: one thread per process, and one process per core.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# Such as --only step,data or --quick.
BENCH_ARGS ?=

.PHONY: help setup demo test test-all lint check docs bench clean

help: ## list the commands
	@echo 'make COMMAND, one of:'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14

setup: $(STAMP) ## create .venv and install the project with all tools

$(STAMP): setup.py constraints.txt $(wildcard requirements/*.txt)
	@test -x $(BIN)/python || test -n '$(PYTHON)' || \
		{ echo 'make: no Python 3.10, 3.11 or 3.12 found; name one: make setup PYTHON=/path/to/python' >&2; exit 1; }
	@start=$$SECONDS; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	echo "Installing into $(VENV) ($$($(BIN)/python -V)); the first time takes minutes ..."; \
	$(BIN)/python -m pip install -qq --disable-pip-version-check \
		-c constraints.txt -e '.[mminstall,det,export,tests,docs]' -r requirements/dev.txt; \
	touch $@; \
	echo "Installed in $$((SECONDS - start)) s."

demo: $(STAMP) ## train vanilla, Mixup and AutoMix on small real images and compare them
	@$(BIN)/python tools/demo.py

test: $(STAMP) ## run the fast tests (ten minutes at most on two cores)
	$(PYTEST) -m 'not slow'

test-all: $(STAMP) ## run all tests (an hour at most on two cores)
	$(PYTEST)

lint: $(STAMP) ## check format, style, spelling and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy

check: lint test ## lint and fast tests: what CI runs first

docs: $(STAMP) ## build the documentation, docs/_build/html/index.html; warnings and dead links fail
	$(BIN)/python -m sphinx -b html -q -W --keep-going -n docs docs/_build/html
	@echo 'Built: docs/_build/html/index.html'

bench: $(STAMP) ## run all benchmarks, write benchmarks/latest.json and latest.md (a quarter of an hour)
	@$(BIN)/python tools/bench.py $(BENCH_ARGS)

clean: ## remove what builds, tests and tools leave behind (not .venv, data and work_dirs)
	rm -rf build dist docs/_build ./*.egg-info .pytest_cache .mypy_cache .ruff_cache demo_output
	find . \( -path ./$(VENV) -o -path ./.git -o -path ./data \) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
