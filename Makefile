# Two commands do everything: `make run` and `make test`. Both set up .venv first when it is missing or out of date.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.PHONY: setup run test unit lint bench soak peers docs lock wheel clean help

help:           ## show these targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## make .venv from the locked requirements

$(STAMP): requirements/test.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Ringleader needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

run: setup      ## start a three-node cluster on loopback
	$(BIN)/ringleader dev

test: setup lint unit ## everything that must hold: lint, unit, property, simulation and real-process tests

unit: setup peers
	$(BIN)/python -m pytest -n 2 --dist worksteal -rs

lint: setup     ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check src tests bench tools
	$(BIN)/ruff format --check src tests bench tools
	$(BIN)/mypy
	$(BIN)/lint-imports

peers:          ## with CI=true: install the Debian packages that tests compare against
	@sh tools/peers.sh

bench: setup    ## measure beside the peers; writes docs/benchmarks.md figures to .bench/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	$(BIN)/python -m bench

soak: setup     ## hunt for failures for SOAK_MINUTES (default 10); resumable
	$(BIN)/python -m tools.soak

docs: setup     ## make again every trace and picture in docs/
	$(BIN)/python -m tools.docs

lock: setup     ## refresh the locked requirements
	sh tools/lock.sh

wheel: setup    ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
