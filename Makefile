# The commands a newcomer needs. Each sets up what it needs: Python 3.11+ and make are all this asks of the machine.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Nothing phones home.
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := 1
export RUNTIME__DLTHUB_TELEMETRY := false
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export PYTHONUTF8 := 1

.PHONY: help setup demo test run-tests dev packages lint lint-style lint-types lint-sql bench campaign docs lock clean

help: ## Show what each command does
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## Make .venv from requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Voronka needs Python 3.11 or newer; name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	echo "Installing the pinned packages into .venv (once, a few minutes) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(READY) ## Run the whole road on the demo company and print the owner's numbers
	@$(BIN)/voronka demo

dev: $(READY) ## Open the Dagster UI on http://127.0.0.1:3000
	@$(BIN)/voronka dev

packages: ## Install what the tests need from the system: a browser, PostgreSQL
	@.ci/system-packages

lint: $(READY) lint-style ## Ruff, mypy, import rules, sqlfluff
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint-types lint-sql

lint-style: $(READY)
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: $(READY)
	@$(LINT_NICE) $(BIN)/mypy
	$(LINT_NICE) $(BIN)/lint-imports --no-cache

lint-sql: $(READY)
	@$(LINT_NICE) $(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models dbt_project/tests

# The tests wait now and then, for servers and locks: in these gaps the slow linters find their time, 60 s of 10 minutes.
test: $(READY) packages lint-style ## All checks, about 10 minutes on 2 cores
	@$(MAKE) --no-print-directory -j3 LINT_NICE='nice -n 19' lint-types lint-sql run-tests

# In the order of collection the companies' long files run in the middle; sorted by number of tests, as xdist would
# have it, they come last and one core waits for the other (80 s of 9 minutes).
run-tests: $(READY)
	@$(BIN)/pytest -m "not campaign and not bench" -n 2 --dist loadfile --no-loadscope-reorder

bench: $(READY) packages ## Measure against stated baselines in one run
	@$(BIN)/python -m tests.bench

campaign: $(READY) packages ## Long tests: kills, seeds, scale
	@$(BIN)/pytest -m campaign -s

docs: $(READY) ## Build the models' documentation into site/
	@$(BIN)/voronka docs

lock: ## Renew requirements.lock from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --quiet -o requirements.lock

clean: ## Remove everything that can be made again, .venv and var/ included
	@rm -rf .venv var site dbt_project/target dbt_project/logs *.egg-info .mypy_cache .ruff_cache
