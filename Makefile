# Each target does its own set-up; `make PYTHON=/path/to/python3` chooses the interpreter.
# TESTS and TEST_OPTIONS narrow a test run: make test TESTS=plugins/rx

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := test

# The only version that everything here has been tried with.
TRIED := import sys; sys.exit(sys.version_info[:2] != (3, 11))
PYTHON = $(shell for found in python3.11 python3; do \
	"$$found" -c '$(TRIED)' >/dev/null 2>&1 && { echo "$$found"; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
DIST ?= dist
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

PLUGINS := $(notdir $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml)))
RUN_FILES := $(filter-out configs/plugins.yaml,$(sort $(wildcard configs/*.yaml configs/*/*.yaml)))
SOURCES := $(wildcard kernel registry plugins tests tools examples benchmarks)
TESTS ?= tests $(wildcard plugins/*/tests)
TEST_OPTIONS ?= -n 2 --cov=specloom --cov=specloom_registry $(PLUGINS:%=--cov=specloom_%)
# One thread of mathematics for each of the two processes: together they fill two cores.
export OMP_NUM_THREADS ?= 1
# A checkout of another user, as in a container that runs as root, is trusted here.
export SPECLOOM_SAFE_DIRECTORY ?= $(CURDIR)

.PHONY: setup demo test lint types tests configs lock soak bench gpu density docs dist wheels release clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml) tools/install_torchvision_cpu_hook.py
	@"$(PYTHON)" -c '$(TRIED)' >/dev/null 2>&1 || { \
		echo 'setup: needs Python 3.11; name one: make setup PYTHON=/path/to/python3.11' >&2; exit 2; }
	@# An interrupted set-up, or one without ensurepip, leaves an environment that has no pip.
	@$(BIN)/python -c 'import pip' >/dev/null 2>&1 || { \
		"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
			echo 'setup: $(PYTHON) has no ensurepip, which puts pip into $(VENV);' \
				'on Debian and Ubuntu: apt install python3.11-venv' >&2; exit 2; }; \
		echo "setup: making $(VENV) with $$("$(PYTHON)" --version)"; \
		"$(PYTHON)" -m venv $(VENV); }
	@$(BIN)/python -c '$(TRIED)' || { \
		echo "setup: $(VENV) was made with $$($(BIN)/python --version);" \
			'remove it: make clean setup' >&2; exit 2; }
	@echo 'setup: installing what constraints.txt pins'
	@# Before the rest, so that a CPU build of torch that pip knows of is taken and then kept.
	@# A new environment's setuptools, if it has one, may be too old to make wheels of sdists.
	@$(PIP) setuptools hatchling editables torch
	@$(PIP) --no-build-isolation -e '.[dev]' $(PLUGINS:%=-e ./plugins/%)
	@$(BIN)/python tools/install_torchvision_cpu_hook.py
	@touch $@

demo: $(READY)
	$(BIN)/specloom run configs/rx_statistical.yaml --out runs/demo --overwrite

test: lint types tests configs

lint: $(READY)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(READY)
	$(BIN)/mypy kernel/specloom registry/specloom_registry
	$(BIN)/mypy tools
	@for name in $(PLUGINS); do \
		echo "mypy plugins/$$name/specloom_$${name//-/_}"; \
		$(BIN)/mypy "plugins/$$name/specloom_$${name//-/_}"; done

tests: $(READY)
	@command -v git >/dev/null || { \
		echo 'tests: needs git; on Debian and Ubuntu: apt install git' >&2; exit 2; }
	$(BIN)/python -m pytest -q -m 'not soak' $(TEST_OPTIONS) $(TESTS)

configs: $(READY)
	$(if $(RUN_FILES),$(BIN)/specloom check $(RUN_FILES))

# After a change of a plugin's version, or of configs/plugins.yaml.
lock: $(READY)
	$(BIN)/specloom plugins lock --manifest configs/plugins.yaml

soak: $(READY)
	$(BIN)/python -m pytest -q -m soak --timeout 3600 $(TESTS)

bench: $(READY)
	@$(BIN)/python benchmarks/table.py $(BENCH_OPTIONS)

# Parity and times on a GPU; ends within about 8 minutes.
gpu: $(READY)
	@$(BIN)/python -W ignore benchmarks/gpu.py $(GPU_OPTIONS)

density: $(READY)
	@$(BIN)/python tools/density.py kernel/specloom registry/specloom_registry $(wildcard plugins/*/specloom_*)

# The site, in build/site/html; warnings are errors. Its theme announces its end at every start.
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(READY)
	@$(PIP) --no-build-isolation -e '.[docs]'
	$(BIN)/python tools/docs_site.py build/site
	$(BIN)/python -m mkdocs build --strict --quiet --config-file build/site/mkdocs.yml
	@echo 'docs: build/site/html/index.html'

# Wheels of the main distribution and of every plugin, made without the network.
dist: $(READY)
	$(BIN)/python tools/wheels.py $(DIST)

# Wheels of specloom-native with its kernels: of every platform where ziglang is installed.
wheels: $(READY)
	$(BIN)/python tools/native_wheels.py $(DIST)

# Annotated tags of every distribution whose version has none; RELEASE_OPTIONS=--dry-run shows them.
release: $(READY)
	$(BIN)/python tools/release.py tag --all $(RELEASE_OPTIONS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist
	find kernel registry plugins tests tools examples benchmarks -name __pycache__ -prune -exec rm -rf {} +
