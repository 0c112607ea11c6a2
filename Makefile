# Each target does its own set-up on a fresh machine: Python 3.11 and make are all it needs.
#   make serve   answer on http://127.0.0.1:8000      make test    all tests, the real vLLM included
#   make check   ruff and mypy                        make bench   measure; results in tests/bench/results
#   make locks   resolve the exact versions anew      make clean   remove .venv and the test caches

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# The engine's build: CUDA where a GPU answers, else CPU. ENGINE=cpu or ENGINE=gpu decides by hand.
ENGINE ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
LOCK := docker/locks/$(ENGINE).txt
# The stamp carries the lock's checksum: an environment is renewed when its lock changes, and only then.
STAMP := .venv/.$(ENGINE)-$(shell cksum < $(LOCK) | tr ' ' '-')
# open_clip and its torchvision, where nothing but the process that describes photos finds them (models/vision.py).
EYES_LOCK := docker/locks/eyes.txt
EYES := .venv/.eyes-$(shell cksum < $(EYES_LOCK) | tr ' ' '-')
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
# One line that counts packages, then what went wrong, if anything did.
SHOW = 2>.venv/pip.err | awk '/^Collecting/ {printf "\r\033[K  %d/$(shell grep -c . $(LOCK)) %s", ++n, $$2; fflush()} \
  /^Installing/ {printf "\r\033[K  unpacking"; fflush()} END {print ""}' || { cat .venv/pip.err >&2; exit 1; }
TORCH := torch==2.13.0

.PHONY: serve setup test check bench locks clean

setup: $(STAMP) $(EYES)

serve: $(STAMP) $(EYES)
	@exec $(BIN)/python -m service serve

test: $(STAMP) $(EYES)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) $(EYES)
	$(BIN)/python -m tests.bench

# The CPU build of torch is looked for where pip looks anyway, then at PyTorch's own index. That index is named
# for this one step: where it cannot be reached, pip would retry it for every other package too.
$(STAMP): $(LOCK)
	@echo "Setting up .venv ($(ENGINE) engine): two to three minutes, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@rm -f .venv/.cpu-* .venv/.gpu-*
	@if [ $(ENGINE) = cpu ]; then \
	  $(PIP) -qq --no-deps $(TORCH)+cpu 2>/dev/null || \
	  $(PIP) -q --no-deps $(TORCH)+cpu --index-url https://download.pytorch.org/whl/cpu; fi
	@$(PIP) --no-deps --requirement $(LOCK) $(SHOW)
	@touch $@

$(EYES): $(EYES_LOCK) | $(STAMP)
	@rm -rf .venv/eyes .venv/.eyes-*
	@$(PIP) -q --no-deps --target .venv/eyes --requirement $(EYES_LOCK)
	@touch $@

# Left out of the CPU lock: torch (above); torchvision, torchaudio, torchcodec, which exist as CUDA builds only and
# break transformers beside a CPU torch; triton, a gigabyte of no use without a GPU.
COMPILE := $(BIN)/python -m uv pip compile pyproject.toml --quiet --no-header --no-annotate \
  --python-version 3.11 --python-platform x86_64-manylinux_2_28
TORCH_INDEX ?= --extra-index-url https://download.pytorch.org/whl/cpu --index-strategy unsafe-best-match
locks:
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -q uv
	$(COMPILE) --output-file docker/locks/service.txt
	$(COMPILE) --extra engine-gpu --extra training --extra dev --output-file docker/locks/gpu.txt
	$(COMPILE) --extra engine-cpu --extra training --extra dev --output-file docker/locks/cpu.txt $(TORCH_INDEX) \
	  $(foreach package,torch torchvision torchaudio torchcodec triton,--no-emit-package $(package))
	$(COMPILE) --extra eyes --extra training --constraint docker/locks/cpu.txt --output-file .venv/eyes.all
	grep -vxFf docker/locks/cpu.txt .venv/eyes.all | grep -vE '^(torch|triton|nvidia-.*|cuda-.*)==' > $(EYES_LOCK)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
