# Each target makes what it needs. Requires git, make and Python >= 3.11 with venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TOGETHER := --numprocesses 4 --dist worksteal

# The dates in packages are that of the commit, so that the same commit gives the same bytes.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1750000000)
BUNDLED := build/venv

.PHONY: demo demo-hosts run test quick lint coverage bench paper reference binary deb test-binary clean

demo: $(READY)  ## daemon, fake Discord, three producers, and the outcome of their signals
	$(BIN)/tocsin demo

demo-hosts: $(READY)  ## three daemons that share one webhook, a kill of the one that sends, and the verdict; needs redis-server
	PYTHONPATH=. $(BIN)/python -m tests.shared.demo_hosts

run: $(READY)  ## the daemon with ./alerts.toml, in the foreground
	$(BIN)/tocsind run

test: $(READY)  ## the whole suite; four tests at a time, because many wait for processes and rate limits
	$(BIN)/pytest $(TOGETHER)

quick: $(READY)  ## the suite without its slow tests
	$(BIN)/pytest $(TOGETHER) -m 'not slow and not binary'

lint: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: $(READY)  ## every branch of policy/ must be covered by the tests in tests/policy
	$(BIN)/coverage run --branch --source=daemond/tocsind/policy -m pytest -q tests/policy
	$(BIN)/coverage report --include='daemond/tocsind/policy/*' --show-missing --fail-under=100

bench: $(READY)  ## every benchmark, with the installed peers
	$(BIN)/pip install --quiet --constraint packaging/constraints.txt --editable '.[bench]'
	$(BIN)/python -m tests.bench

paper: $(READY)  ## manual pages and completions, below build/paper
	PYTHONPATH=packaging $(BIN)/python -m paper build/paper

reference: $(READY)  ## docs/reference/commands.md from the parsers, answers.md from the tables, kinds.md from the kinds
	PYTHONPATH=packaging $(BIN)/python -m paper --commands > docs/reference/commands.md
	$(BIN)/python -m tocsind.destinations.table_page > docs/reference/answers.md
	$(BIN)/python -m tocsind.destinations.kinds_page > docs/reference/kinds.md

binary: $(BUNDLED)/.ready  ## dist/tocsin/ for a service, dist/tocsin-VERSION-ARCH as one file
	PYTHONHASHSEED=1 $(BUNDLED)/bin/pyinstaller --noconfirm --clean --log-level WARN --distpath dist --workpath build/pyinstaller packaging/tocsin.spec

deb: binary paper  ## dist/tocsin_VERSION_ARCH.deb
	$(BUNDLED)/bin/python packaging/deb.py

test-binary: $(READY) deb  ## tests of binary, file and package (the package needs root, debootstrap and a mirror)
	$(BIN)/pytest -m binary tests/packaging

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml packaging/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("tocsin needs Python >= 3.11, this is " + sys.version.split()[0] + "; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint packaging/constraints.txt --editable '.[dev]'
	touch $(READY)

$(BUNDLED)/.ready: pyproject.toml packaging/constraints.txt
	$(PYTHON) -m venv --clear $(BUNDLED)
	$(BUNDLED)/bin/pip install --quiet --disable-pip-version-check --constraint packaging/constraints.txt --editable '.[binary]'
	touch $(BUNDLED)/.ready
