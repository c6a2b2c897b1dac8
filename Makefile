# Every task of the project. CI runs the same verbs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONFIG ?= config.yaml
TESTS ?= tests
SOAK_SEEDS ?= 100000
SOAK_FROM ?= 0
SOAK_JOBS ?= 2
SOAK_EXAMPLES ?= 500
SOAK_FAULTS ?= 20
SOAK_ROUNDS ?= 200

# The command of a checkout, as `pip install .` makes it elsewhere.
COMMAND = printf '%s\n' '\#!/bin/sh' 'PYTHONPATH="$(CURDIR)" exec "$(abspath $(BIN))/python" -m gateway "$$@"' \
	> $(BIN)/otp-gateway && chmod +x $(BIN)/otp-gateway

.DEFAULT_GOAL := help
.PHONY: help run test check fix bench soak lock clean

help:
	@echo "make run    start the gateway with the embedded store and the simulator on 127.0.0.1:8080"
	@echo "make test   run every test (TESTS=tests/policies for some of them)"
	@echo "make check  formatting, lint, types, import rules, configuration, dashboards"
	@echo "make fix    format, and mend what the linter can mend"
	@echo "make bench  measure start and check against two baselines in the same run"
	@echo "make soak   simulation, model, kills, faults and fuzzing at length: SOAK_SEEDS=1000000 SOAK_FROM=0 SOAK_EXAMPLES=1000"
	@echo "make lock   resolve the dependencies again into requirements*.lock"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.x")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock | $(VENV)/bin/python
	@echo "Installing the locked dependencies into $(VENV) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	@$(COMMAND)
	@touch $@

$(VENV)/.dev: requirements.lock requirements-dev.lock | $(VENV)/bin/python
	@echo "Installing the locked development dependencies into $(VENV) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements-dev.lock
	@$(COMMAND)
	@touch $@ $(VENV)/.run

run: $(VENV)/.run
	@$(BIN)/python -m gateway serve --config $(CONFIG)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest $(TESTS)

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m gateway check-config --config config.yaml

fix: $(VENV)/.dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev
	@$(BIN)/python -m bench

soak: $(VENV)/.dev
	@$(BIN)/python -m tests.simulation.run --seeds $(SOAK_FROM):$$(($(SOAK_FROM) + $(SOAK_SEEDS))) --jobs $(SOAK_JOBS)
	@MODEL_EXAMPLES=$(SOAK_EXAMPLES) MODEL_STEPS=60 $(BIN)/python -m pytest tests/model
	@PROOF_ROUNDS=$(SOAK_ROUNDS) $(BIN)/python -m pytest tests/proof
	@FAULT_ROUNDS=$(SOAK_FAULTS) OVERLOAD_SECONDS=60 $(BIN)/python -m pytest -s tests/faults
	@FUZZ_EXAMPLES=$(SOAK_EXAMPLES) FUZZ_CALLBACKS=$(SOAK_EXAMPLES) FUZZ_FILES=20000 $(BIN)/python -m pytest tests/fuzz

lock: $(VENV)/.dev
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements.lock pyproject.toml --group dev -o requirements-dev.lock

clean:
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
