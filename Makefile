# Tickler. `make` alone lists the targets.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run run-kafka demo redrive rotate mail test web lint types format render lock audit sbom clean python venv venv-dev

help: ## Lists these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: venv ## Runs the product at http://127.0.0.1:8080 until Ctrl-C (TICKLER_PORT, TICKLER_DATA)
	@$(BIN)/python -m tools.run

run-kafka: venv ## The same on Kafka and Redis, a process and a sidecar a function
	@$(BIN)/python -m tools.run kafka

demo: venv ## Sends the sample through the running product and checks what happens
	@$(BIN)/python -m tools.demo

redrive: venv ## Tries again the notifications and messages that failed
	@$(BIN)/python -m tools.redrive

rotate: venv ## Has a new key sign the access tokens
	@$(BIN)/python -m functions.runtime.token_keys

mail: venv ## Shows the mails that the local mail sink took
	@$(BIN)/python -m tools.mail show

test: lint types web ## Lints, checks types and runs every test
	@$(BIN)/python -m functions.runtime.render --check
	@$(BIN)/python -m tools.contracts
	@$(BIN)/python -m tools.daprd > /dev/null
	@$(BIN)/python -m pytest

web: python ## Lints, checks and tests what is in web/
	@$(PYTHON) -m tools.web

lint: venv-dev ## Checks style and format
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/caddy fmt --diff components/edge/Caddyfile > /dev/null || { echo "components/edge/Caddyfile: run make format"; exit 1; }

types: venv-dev ## Checks types
	@$(BIN)/mypy

format: venv-dev ## Formats the code
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/caddy fmt --overwrite components/edge/Caddyfile

render: venv ## Renders routes, subscriptions, dapr.yaml, OpenAPI and AsyncAPI from the functions
	@$(BIN)/python -m functions.runtime.render

lock: venv-dev ## Locks the newest dependencies that pyproject.toml allows
	@$(BIN)/uv pip compile $(COMPILE) pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile $(COMPILE) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

COMPILE := --quiet --upgrade --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	--custom-compile-command "make lock"

audit: venv-dev ## Looks the locked packages up in the databases of known vulnerabilities (needs the network)
	@$(BIN)/python -m tools.audit

sbom: venv-dev ## Writes the software bill of materials of what runs to build/sbom.json (CycloneDX)
	@$(BIN)/python -m tools.sbom

clean: ## Removes the virtual environment, node_modules, build and caches; data in .tickler stays
	@rm -rf .venv web/node_modules build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.tickler/*' -prune -exec rm -rf {} +

venv: python
	@$(PYTHON) tools/venv.py runtime

venv-dev: python
	@$(PYTHON) tools/venv.py dev

python:
	@command -v $(PYTHON) > /dev/null || { echo "tickler: $(PYTHON) is not on PATH; install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
