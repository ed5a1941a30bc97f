# Needs Python 3.11 or 3.12 with pip; everything else goes into $(VENV).
#   make PYTHON=/path/to/python3.12 VENV=.venv312 test     # another interpreter, beside the first

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON       ?=
VENV         ?= .venv
TEST_WORKERS ?= 2

BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV   := uv==0.13.9
DEPS := $(VENV)/.deps
DONE := $(VENV)/.done

# Trying it is the only test that counts: version managers leave a python3.12 on the path that is none.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.12 python3.11 python3 python)
PROBE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))

.PHONY: help setup demo services services-stop test lint check bench bench-full soak lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

setup: $(DONE)  ## install everything into .venv (about a minute, once)

demo: setup  ## run the demonstration
	@$(BIN)/cem demo

services: setup  ## start Kafka and Redis on this machine, without Docker (ARGS="--brokers 2"); data in .services
	@$(BIN)/python -m flows.services start $(ARGS)

services-stop: setup  ## stop them; the data stay
	@$(BIN)/python -m flows.services stop $(ARGS)

test: setup  ## run the tests
	@$(BIN)/cem warm-up
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) -m "not slow"

lint: setup  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test  ## what CI runs: style, types, tests

bench: setup  ## measure the engine, short form (about five minutes); results in build/bench
	@$(BIN)/python -m benchmarks.run

bench-full: setup  ## measure everything three times, a million customers too; new plots for the documentation
	@$(BIN)/python -m benchmarks.run --full --plots docs/img

soak: setup  ## fifty million events through one process: does its memory stay flat?
	@$(BIN)/python -m benchmarks.soak --plots docs/img

lock:  ## write requirements.lock anew from pyproject.toml (UPGRADE=1: with the newest versions)
	@$(find_python); rm -rf build/lock && "$$python" -m venv build/lock
	@build/lock/bin/python -m pip --disable-pip-version-check --quiet install $(UV)
	@echo "Resolving the dependencies for Python 3.11 and 3.12 ..."
	@build/lock/bin/uv pip compile pyproject.toml --no-config --quiet --extra dev --universal --python-version 3.11 \
	  --fork-strategy fewest --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  $(if $(UPGRADE),--upgrade) --output-file requirements.lock

clean:  ## remove the installation and all caches
	rm -rf $(VENV) build demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define find_python
python=; for candidate in $(CANDIDATES); do \
  if "$$candidate" -c '$(PROBE)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo "Found no working Python 3.11 or 3.12 with venv (tried: $(CANDIDATES)). Give one: make PYTHON=/path/to/python3.12" >&2; \
  exit 1; \
fi
endef

# Two steps, so that a change of pyproject.toml that leaves the lock alone costs seconds.
$(DEPS): requirements.lock
	@$(find_python); \
	echo "Installing the dependencies into $(VENV) with $$("$$python" --version) (about a minute) ..."; \
	"$$python" -m venv --clear $(VENV)
	@$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	@touch $@

$(DONE): $(DEPS) pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@
	@echo "Installed: $(BIN)/cem"
