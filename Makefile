# `make book` and `make test` set everything up in .venv on their first run.
PYTHON ?= python3
BIN = .venv/bin
# All extras but the benchmark's peers.
LOCKED = book build cluster export jax linear study tensorboard test train
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help book quick test weekly campaigns mutants benchmark figures explorer exercises lint lock clean

help:
	@echo "make book       run every chapter and build the book into book/_build/html"
	@echo "make quick      run the tests that take no time, while working"
	@echo "make test       do that, and run the tests"
	@echo "make weekly     run the tests that take too long for every change"
	@echo "make campaigns  test with thousands of random inputs and many kills (an hour)"
	@echo "make mutants    break the package in many places: does a test notice? (hours)"
	@echo "make benchmark  measure time and memory beside the peers (an hour and a half)"
	@echo "make figures    draw the pictures of the results anew"
	@echo "make explorer   train the explorer's classifiers anew"
	@echo "make exercises  fetch the exercises' Python anew (needs npm)"
	@echo "make lint       check style, format and types"
	@echo "make lock       resolve requirements.lock anew (needs uv)"
	@echo "make clean      delete what was built, the environment too"

# Each chapter runs as a test, and the pages show what that run has printed.
book: .venv/installed
	$(BIN)/python book/build.py
	@echo "Open book/_build/html/index.html"

quick: .venv/installed
	$(BIN)/python -m pytest tests -m "not slow and not book and not site and not cluster"

# A file's tests stay in one process: they share what takes long to make. The processes
# would get in each other's way if each took every core.
book test weekly: export OMP_NUM_THREADS = 1
book test weekly: export TF_NUM_INTRAOP_THREADS = 1
book test weekly: export TF_NUM_INTEROP_THREADS = 1

test: book
	$(BIN)/python -m pytest tests --numprocesses=2 --dist=loadfile

weekly: .venv/installed
	$(BIN)/python -m pytest tests -m weekly --numprocesses=2 --dist=loadfile

campaigns: .venv/installed
	$(BIN)/python results/run_campaigns.py

# Cosmic Ray, which makes the changes, has an environment of its own.
mutants: .venv/installed
	$(PYTHON) -m venv .venv/cosmic-ray
	.venv/cosmic-ray/bin/python -m pip install --quiet cosmic-ray==8.7.0
	$(BIN)/python results/run_mutants.py .venv/cosmic-ray/bin/cosmic-ray .venv/mutants

# PyTorch, the peer, is compared with where it is installed in .venv.
benchmark: .venv/installed
	$(BIN)/python -m benchmarks

figures: .venv/installed
	$(BIN)/python results/draw.py book/_static

explorer: .venv/installed
	$(BIN)/python results/export_classifiers.py book/_static

exercises:
	$(PYTHON) book/fetch_micropython.py book/_extra/python

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The lock has a hash for every file, so pip takes nothing else; the project
# itself is installed from this folder, without a second download.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "diffattn needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

lock:
	uv pip compile pyproject.toml $(LOCKED:%=--extra %) --universal --python-version 3.11 \
	  --generate-hashes --custom-compile-command "make lock" --quiet --output-file requirements.lock

clean:
	rm -rf .venv book/_build .mypy_cache .pytest_cache .ruff_cache
