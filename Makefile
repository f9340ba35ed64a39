# Every target does its own set-up. Nothing but git, make and a Python >= 3.11 with venv is needed.
PYTHON ?= python3
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
# Many short processes import torch here; compiled once, they start in a third of the time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup test quick test-slow lint simulate demo fleet-demo clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/.ready  ## make .venv with .venv/bin/mien

# uv is fetched only where it is needed and missing; a warm cache is enough for all else: without
# network the second try takes everything from there.
.venv/.ready: pyproject.toml
	@test -x "$(UV)" || { $(PYTHON) -m venv .tools && \
		.tools/bin/pip install --quiet --disable-pip-version-check 'uv>=0.12,<1'; }
	$(UV) sync --quiet --all-extras --python $(PYTHON) || \
		$(UV) sync --quiet --all-extras --python $(PYTHON) --offline
	@touch $@

lint: .venv/.ready  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

test: .venv/.ready  ## lint, and all tests but the slow ones (at most 6 minutes)
	@$(MAKE) --no-print-directory --jobs 2 lint quick

quick: .venv/.ready
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow"

test-slow: .venv/.ready  ## real runs that take longer (at most 25 minutes)
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow --timeout 900

demo: .venv/.ready  ## synthetic actors, from video to report, nothing to download
	$(BIN)/mien demo --out out/demo

fleet-demo: .venv/.ready  ## server, three devices, three rounds on loopback; ends by itself
	$(BIN)/mien fleet-demo

simulate: .venv/.ready  ## make simulate FEATURES=table.csv or DATA=folder
	$(BIN)/mien simulate $(if $(FEATURES),--features $(FEATURES)) $(if $(DATA),--data $(DATA)) --out out/simulate

clean:  ## remove all that was made here
	rm -rf .venv .tools out runs uv.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis
