# Two commands for a fresh machine with Python 3.11 to 3.13, pip and make: `make demo` and `make test`.

VENV ?= .venv
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)
BIN := $(VENV)/bin
# Twice quiet: of what pip says errors alone are shown.
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
# As many processes as there are cores, each with one thread; a test goes to the next one that is free.
PYTEST := $(BIN)/pytest --numprocesses auto --maxprocesses 8 --dist worksteal

.PHONY: demo evidence test slow test-and-slow thorough interop packages lowest lint types format docs clean

demo: $(VENV)/.demo
	$(BIN)/distilkit run recipes/simplified_tinybert.toml --resume auto

# The papers' tables on the built-in collection: hours on two cores; the same command goes on where it was stopped.
evidence: $(VENV)/.demo
	$(BIN)/python -m benchmarks evidence

test: $(VENV)/.dev
	$(PYTEST) -m "not slow"

slow: $(VENV)/.dev
	$(PYTEST) -m "slow and not thorough"

test-and-slow: $(VENV)/.dev
	$(PYTEST) -m "not thorough"

thorough: $(VENV)/.dev
	$(PYTEST) -m slow

# Exports beside PyLate and the versions that it is pinned to, in an environment of their own.
interop:
	.ci/interop

# Wheel and source distribution, installed into a clean environment and used from there.
packages:
	.ci/packages

# The same with the oldest versions that pyproject.toml allows.
lowest:
	.ci/packages lowest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/vulture

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	$(BIN)/python -m mkdocs build --strict --site-dir build/site

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 found; name one with make PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(PIP) --editable ".[demo]"
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(PIP) --editable ".[demo,dev]"
	touch $@ $(VENV)/.demo

$(VENV)/.docs: $(VENV)/bin/python pyproject.toml
	$(PIP) --editable ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
