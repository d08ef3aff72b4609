# Few verbs. Each does the set-up that it needs, on a machine with Python 3.11 to 3.13 and make.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done)
BIN := .venv/bin
SOURCES := pyproject.toml constraints.txt
# Tests start hundreds of processes, each of which would compile comity anew.
unexport PYTHONDONTWRITEBYTECODE
FIGURES := simulation many_sites codec seal task_start log start plans relay round many iris substra flaky secure_sum masked_round compress private_heart pages graph open_pages playground

.PHONY: help setup demo test check bench chaos substra fuzz long sa-long docs

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.dev ## everything for work on comity, into .venv

demo: .venv/.demo ## four hospitals predict heart disease together
	$(BIN)/comity demo heart

# In the order of the folders: files of few and long tests come first, so that short ones fill up the end.
test: .venv/.dev ## the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/.dev ## format, lint, types and import contracts
	$(BIN)/ruff format --check src tests bench examples scripts
	$(BIN)/ruff check src tests bench examples scripts
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: .venv/.dev ## our figures beside their floors
	for figure in $(FIGURES); do OMP_NUM_THREADS=1 $(BIN)/python -m bench.$$figure || exit 1; done

chaos: .venv/.dev ## kill hub, nodes and workers while plans run; write docs/chaos.md
	$(BIN)/python -m bench.chaos --seeds 1 2 3 4 --kills 4 --rounds 43 --write docs/chaos.md

substra: .venv/.dev ## drive nodes by Substra's stock clients, and compare them with their local mode
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "substra or not substra" tests/substra

fuzz: .venv/.dev ## ask node and hub for whatever their OpenAPI documents allow, and for what they do not
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --hypothesis-profile=fuzz tests/unit/node/rest/test_fuzz.py \
		tests/unit/network/test_hub_fuzz.py

long: .venv/.dev ## what `make test` shortens, at full length: demos, sums of forty sites; half an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m long

sa-long: .venv/.dev ## of those, secure sums of up to forty sites, whoever falls out; a quarter of an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m long tests/unit/privacy

docs: .venv/.dev ## write docs/reference.md, run every code block of README and docs
	$(BIN)/python scripts/reference.py
	$(BIN)/python scripts/state_machines.py
	$(BIN)/python scripts/configuration.py
	$(BIN)/python -m pytest -q -m "long or not long" tests/docs

.venv/bin/python:
	sh scripts/venv.sh $(PYTHON)

.venv/.demo: .venv/bin/python $(SOURCES)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.dev: .venv/bin/python $(SOURCES)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ .venv/.demo
