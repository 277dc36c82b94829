# Each target does its own set-up on a fresh Debian machine with Python and make.

SHELL := /bin/sh
VENV := .venv/bin
JOBS := 2

SEED := 1
SESSIONS := 100000
NODES := 1

.PHONY: run test lint format campaign sim bench compiled clean

run: ## start the demonstration server and place a prepaid call against it
	@.ci/setup
	@PATH="$(CURDIR)/$(VENV):$$PATH" conf/demo/run.sh

test: ## everything: lint, types, import rules, the whole suite
	@.ci/setup test
	@$(MAKE) --no-print-directory lint
	$(VENV)/python -m pytest -n $(JOBS)

lint: ## style, formatting, types, import rules
	@.ci/setup
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy
	$(VENV)/lint-imports

format: ## rewrite the sources in the project's format
	@.ci/setup
	$(VENV)/ruff check --fix
	$(VENV)/ruff format

campaign: ## long random runs that are not part of the suite
	@.ci/setup test
	$(VENV)/python -m pytest -m campaign
	@$(MAKE) --no-print-directory compiled
	$(VENV)/python -m tests.mutation.rating_mutations
	$(VENV)/python -m tests.mutation.engine_mutations
	$(VENV)/python -m tests.sim --seed 1 --sessions 1000000
	$(VENV)/python -m tests.sim --seed 2 --sessions 200000 --nodes 3
	$(VENV)/python -m tests.sim --seed 3 --sessions 100000 --nodes 3 --outages

sim: ## the simulator alone: make sim SEED=7 SESSIONS=100000 NODES=2
	@.ci/setup test
	$(VENV)/python -m tests.sim --seed $(SEED) --sessions $(SESSIONS) --nodes $(NODES)

bench: ## the benchmark, plain and compiled; prints figures, fails on wrong answers; COMPILED=0 or =1 for one of them
	@.ci/setup test
ifneq ($(COMPILED),1)
	$(VENV)/python -m bench
endif
ifneq ($(COMPILED),0)
	.ci/compiled $(CURDIR)/$(VENV)/python -m bench
endif

compiled: ## the suite against the hot modules compiled to C
	@.ci/setup test
	.ci/compiled $(CURDIR)/$(VENV)/python -m pytest -n $(JOBS)

clean: ## remove what the targets above made
	rm -rf .venv var build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
