# Thin verbs; each makes what it needs. Works on a machine with git, make and Python >= 3.11 with venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TOGETHER := --numprocesses 3 --dist worksteal

.PHONY: demo run test quick lint coverage bench paper reference clean

demo: $(READY)  ## daemon, fake Discord, three producers, and what became of their signals
	$(BIN)/tocsin demo

run: $(READY)  ## the daemon with ./alerts.toml, in the foreground
	$(BIN)/tocsind run

test: $(READY)  ## the whole suite; three at a time, because much of it waits for processes and for limits
	$(BIN)/pytest $(TOGETHER)

quick: $(READY)  ## the suite without its slow tests
	$(BIN)/pytest $(TOGETHER) -m 'not slow'

lint: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: $(READY)  ## policy decides, and every branch of it is decided by a test of its room
	$(BIN)/coverage run --branch --source=daemond/tocsind/policy -m pytest -q tests/policy
	$(BIN)/coverage report --include='daemond/tocsind/policy/*' --show-missing --fail-under=100

bench: $(READY)  ## every benchmark, with the peers that are there
	$(BIN)/pip install --quiet --constraint packaging/constraints.txt --editable '.[bench]'
	$(BIN)/python -m tests.bench

paper: $(READY)  ## manual pages and completions, below build/paper
	PYTHONPATH=packaging $(BIN)/python -m paper build/paper

reference: $(READY)  ## docs/reference/commands.md, from the parsers
	PYTHONPATH=packaging $(BIN)/python -m paper --commands > docs/reference/commands.md

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml packaging/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("tocsin needs Python >= 3.11, this is " + sys.version.split()[0] + "; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint packaging/constraints.txt --editable '.[dev]'
	touch $(READY)
