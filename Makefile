# The two commands for a fresh machine with git, make and python3 (3.11 or newer):
#   make demo    sets up, runs the main job and builds a leaderboard of it
#   make test    sets up and passes the tests
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
BENCH ?= dreambench_pp
LIMIT ?= 120
# Two busy threads on two cores lose time spinning for each other; waiting passively costs nothing.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: setup demo test lint types check slow clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "evalkit needs Python 3.11 or newer, found " + sys.version.split()[0] + "; give another with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	@for method in noise wrong_subject copy_reference real_images flux_kontext divrl; do \
	  $(BIN)/evalkit run --method $$method --bench $(BENCH) --profile sandbox --limit $(LIMIT) --out runs/$(BENCH)/demo/$$method || exit $$?; echo; \
	done
	@$(BIN)/evalkit leaderboard build runs/$(BENCH)/demo/* --title "evalkit on its embedded world" --out site

test: setup
	$(BIN)/python -m pytest -q

slow: setup
	$(BIN)/python -m pytest -q --run-slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

check: lint types test

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
