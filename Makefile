# make train            pre-train plain and decoupled v-SimCLR on the built-in videos, evaluate, print a table
# make train SMOKE=1    the same, tiny: does it run?      make train SEEDS=3   mean and spread over seeds
# make test             the fast test suite               make test BACKEND=torch   on another backend
# make test-latest      the suite on the newest TensorFlow, JAX and PyTorch
# make test-real        train on real videos from public packages (downloads them)
# make bench            speed of the Koopman split against the D x D route
# make lint             ruff
# Variables: PYTHON (3.10-3.13), VENV, SEEDS, SMOKE, BACKEND, TESTS.

PYTHON ?= python3
BACKEND ?= tensorflow
SEEDS ?= 1
SMOKE ?=
TESTS ?= tests

# TensorFlow alone is the user's environment; the other backends come with the newest set.
ifeq ($(BACKEND),tensorflow)
VENV ?= .venv
else
VENV ?= .venv-latest
endif
RUN = KERAS_BACKEND=$(BACKEND) TF_CPP_MIN_LOG_LEVEL=3 $(VENV)/bin/python

DEMO = configs/demo.py
SUFFIX = $(if $(SMOKE),-smoke)
ARGUMENT = $(if $(SMOKE),$(comma)smoke)
comma := ,

.PHONY: train test test-latest test-real bench lint clean

train: $(VENV)/installed
	@set -e; models=; \
	for seed in $$(seq 0 $$(( $(SEEDS) - 1 ))); do \
	  for kind in plain bod; do \
	    $(RUN) train.py --config=$(DEMO):$$kind$(ARGUMENT) --config.seed=$$seed; \
	    models="$$models --model=runs/demo-$$kind$(SUFFIX)-seed$$seed"; \
	  done; \
	done; \
	$(RUN) evaluate.py --protocol=factors $$models --output=runs/demo$(SUFFIX)

test: $(VENV)/installed
	$(RUN) -m pytest $(TESTS)

test-latest: .venv-latest/installed
	for backend in tensorflow torch jax; do \
	  KERAS_BACKEND=$$backend TF_CPP_MIN_LOG_LEVEL=3 .venv-latest/bin/python -m pytest $(TESTS) || exit 1; \
	done

test-real: $(VENV)/installed
	$(RUN) tools/fetch_real_videos.py data/real
	$(RUN) train.py --config=configs/videos.py:small --config.name=real --config.data.source=data/real \
	  --config.epochs=2 --config.clips.batch_size=4

bench: $(VENV)/installed
	$(RUN) benchmarks/koopman_split.py

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

clean:
	rm -rf .venv .venv-latest runs data/built-in

# One environment for training and tests: requirements-dev.txt is requirements.txt, pytest and ruff.
.venv-latest/installed: REQUIREMENTS = requirements-latest.txt
%/installed: REQUIREMENTS ?= requirements-dev.txt
%/installed: requirements.txt requirements-dev.txt requirements-latest.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "bod_keras needs Python 3.10 to 3.13; $(PYTHON) is `$(PYTHON) --version 2>&1`." \
	    "Try make PYTHON=python3.11"; exit 1; }
	@echo "Installing $(REQUIREMENTS) into $* (a minute or two) ..."
	@$(PYTHON) -m venv $*
	@$*/bin/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $@
