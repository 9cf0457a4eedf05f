# Everything happens in .venv and build/ of this folder; nothing needs root, nothing is installed globally.
# `make` prints the targets.

VENV := .venv
PY := $(VENV)/bin/python
# The first Python of 3.11 to 3.13 that runs; `make PYTHON=…` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo "$$p" && break; done)

# What runs the demo: local, spark or beam.
ENGINE ?= local

export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH PYTHONHOME

# A venv that was moved here, or whose Python is gone or of another version, is made anew. `.ready` says which it was;
# `.demo` does so where only what the demo needs is installed, a fifth of it all.
READY := $(VENV)/.ready
DEMO := $(if $(and $(filter local,$(ENGINE)),$(if $(wildcard $(READY)),,yes)),$(VENV)/.demo,$(READY))
SAY := import importlib.util, sys; \
	(3, 11) <= sys.version_info < (3, 14) and importlib.util.find_spec("pip") and print(sys.version.split()[0], sys.prefix)
STATE := $(shell $(PY) -c '$(SAY)' 2>/dev/null)
KNOWN := $(shell cat $(READY) $(VENV)/.demo 2>/dev/null | tail -n 1)
ifeq ($(STATE),)
REMAKE := yes
else ifneq ($(KNOWN),)
ifneq ($(STATE),$(KNOWN))
REMAKE := yes
endif
endif
ifeq ($(REMAKE),yes)
$(READY) $(VENV)/.demo: FORCE
endif

.PHONY: help setup demo test check lint docs bench soak wheel lock clean FORCE
.DEFAULT_GOAL := help
FORCE:

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the locked dependencies (done by every other target when needed)

$(READY): requirements.lock requirements-examples.lock pyproject.toml
$(VENV)/.demo: requirements-demo.lock requirements-examples.lock pyproject.toml
$(READY) $(VENV)/.demo:
ifeq ($(REMAKE),yes)
	@test -n "$(PYTHON)" || { echo "no Python of 3.11 to 3.13 was found: install one, or say make PYTHON=/path/to/python"; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
endif
	$(PY) -m pip install --quiet --require-hashes -r $(firstword $(filter %.lock,$^))
	$(PY) -m pip install --quiet --require-hashes --no-deps --no-build-isolation --use-pep517 -r requirements-examples.lock
	$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@$(PY) -c '$(SAY)' > $@

demo: $(DEMO) ## prepare the flights of 2013, run the whole pipeline on them, predict, explain and serve; ENGINE=spark or beam
	NINETYFIVE_ENGINE=$(ENGINE) $(PY) examples/flights/demo.py

# A test process a core: threads of BLAS in each would only wait for one another.
ONE := OMP_NUM_THREADS=1

test: setup ## every test, the docstring examples and the README
	$(ONE) $(PY) -m pytest -n auto --dist loadscope

check: lint ## in under two minutes: lint, and the unit tests
	$(ONE) $(PY) -m pytest -q -n auto --dist loadscope -m "not slow" \
		--ignore-glob='*/*spark.py' --ignore-glob='*/*beam.py' --ignore-glob='*/bad_input/*'

lint: setup ## style, format, types, layers
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c 'from importlinter.cli import lint_imports_command as command; command()'

docs: setup ## the documentation site, into build/docs
	$(PY) -m zensical build --strict --clean

bench: setup ## the figures of bench/, beside their bounds
	$(PY) -m bench

soak: setup ## injure a run at every point, in an order drawn by SEED, for SECONDS (1800); needs strace
	SECONDS=$(SECONDS) SEED=$(SEED) $(PY) -m tests.store.soak

wheel: setup ## the wheel, into build/dist
	rm -rf build/dist
	$(PY) -m hatchling build -t wheel -d build/dist

lock: setup ## write the lock files from pyproject.toml; UPGRADE=--upgrade takes the newest of everything
	$(PY) -m uv pip compile $(LOCK_OPTIONS) --all-extras pyproject.toml -o requirements.lock
	$(PY) -m uv pip compile $(LOCK_OPTIONS) -c requirements.lock --extra sklearn --extra design --group demo pyproject.toml -o requirements-demo.lock
	$(PY) -m uv pip compile $(LOCK_OPTIONS) --no-deps --group pyproject.toml:examples -o requirements-examples.lock
	for peer in fastapi litserve; do \
		$(PY) -m uv pip compile $(LOCK_OPTIONS) bench/peers/$$peer.in -o bench/peers/$$peer.lock || exit 1; done

LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" $(UPGRADE)

clean: ## remove what was built and what the demo made; .venv stays
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .cache .coverage .coverage.*
	rm -rf examples/*/data examples/*/.ninetyfive examples/*/build
	find src tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
