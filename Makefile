# poselift: everything a person or CI runs. `make help` lists it.
# Needs GNU make (3.81 or later), a POSIX shell and Python 3.11 or 3.12; nothing else.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Set with :=, so that only the command line changes them: some shells export a HOST of their own.
PORT :=
HOST :=
ARGS :=
MINUTES := 20
DEVICE := $(or $(POSELIFT_DEVICE),auto)

VENV := .venv
BIN := $(VENV)/bin

# ONNX Runtime comes as two packages of which only one may be installed: gpu where a GPU is asked
# for, or where nothing is asked for and an NVIDIA driver answers; else cpu.
RUNTIME := $(shell \
	if [ '$(DEVICE)' = cpu ]; then echo cpu; \
	elif [ '$(DEVICE)' != auto ] || nvidia-smi >/dev/null 2>&1; then echo gpu; \
	else echo cpu; fi)
OTHER_RUNTIME := $(if $(filter gpu,$(RUNTIME)),cpu,gpu)

# Stamps: what of pyproject.toml is installed in $(VENV).
SERVE := $(VENV)/.serve-$(RUNTIME)
EVERYTHING := $(VENV)/.everything-$(RUNTIME)
MMPOSE := $(VENV)/.mmpose-$(RUNTIME)
ifneq ($(shell [ -x $(BIN)/python ] && echo there),there)
.PHONY: $(SERVE) $(EVERYTHING) $(MMPOSE)
endif

.PHONY: help run setup test test-long docker-test check soak detector-heavy sample-weights mmpose test-mmpose clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  Options: PORT=9000 HOST=0.0.0.0 DEVICE=cpu|cuda|cuda:1|tensorrt, PYTHON=/path/to/python3.12,'
	@echo '  and ARGS="..." for what follows poselift serve or pytest.'

run: export POSELIFT_DEVICE := $(DEVICE)
run: $(SERVE)  ## install what serving needs and start the service on http://127.0.0.1:8000
	@$(BIN)/python -m service.cli serve $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) $(ARGS)

setup: $(EVERYTHING)  ## fill .venv with everything: service, training, tests, checks

test: $(EVERYTHING)  ## run the tests
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile $(ARGS)

test-long: $(EVERYTHING)  ## run the tests that take minutes: servers killed, memory of long videos
	@$(BIN)/python -m pytest -m long -s $(ARGS)

docker-test: $(EVERYTHING)  ## build the CPU image and try it, restarts and all (needs Docker)
	@$(BIN)/python -m pytest -m docker -v -s --durations=0 tests/docker/test_image.py $(ARGS)

check: $(EVERYTHING)  ## lint, format and types
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m ruff format --check
	@$(BIN)/python -m mypy

detector-heavy: $(SERVE)  ## fetch MediaPipe's heavy model, for POSELIFT_DETECTOR=mediapipe:heavy
	@$(BIN)/python -m model.detectors.mediapipe.heavy $(ARGS)

sample-weights: $(EVERYTHING)  ## make small weights from the motion in tests/data, and measure them (runs/sample)
	@mkdir -p runs/sample
	@$(BIN)/python -m service.cli import-motion tests/data/cmu_sample -o runs/sample/motion.npz --split cmu16
	@$(BIN)/python -m service.cli train runs/sample/motion.npz -o runs/sample/run.pt \
		--validation runs/sample/motion_val.npz --windows 20000 \
		--frames 9 --joint-width 8 --spatial-depth 1 --temporal-depth 2 --heads 4
	@$(BIN)/python -m service.cli export runs/sample/run.pt -o runs/sample/sample.onnx \
		--version 0.1.0 --validation runs/sample/motion_val.npz
	@$(BIN)/python -m service.cli evaluate runs/sample/sample.onnx runs/sample/motion_val.npz

mmpose: $(MMPOSE)  ## add MMPose, for POSELIFT_DETECTOR=mmpose (docs/detectors.md)

test-mmpose: $(MMPOSE)  ## run the tests of the detectors with MMPose in place
	@$(BIN)/python -m pytest tests/model/detectors $(ARGS)

soak: $(EVERYTHING)  ## load a server for MINUTES=20; fails if its memory grows
	@$(BIN)/python benchmarks/soak.py $(MINUTES)

clean:  ## remove the environment and everything built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

comma := ,

$(SERVE): pyproject.toml
	@$(call install,$(RUNTIME),$(SERVE),detector)

$(EVERYTHING): pyproject.toml
	@$(call install,$(RUNTIME)$(comma)train$(comma)test$(comma)dev,$(SERVE) $(EVERYTHING),detector)

$(MMPOSE): pyproject.toml
	@$(call install,$(RUNTIME)$(comma)train$(comma)test$(comma)dev$(comma)mmpose,$(SERVE) $(EVERYTHING) $@,detector mmpose)

# Sets `python` to one that can make an environment here, or ends with the reason why none can.
# Each candidate is run, because a name on the PATH (a version manager's, say) may not start.
define find_python
	python=; others=; bare=; \
	for candidate in $(PYTHON) python3.11 python3.12 python3 python; do \
		version=$$("$$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) \
			|| continue; \
		if [ "$$version" != 3.11 ] && [ "$$version" != 3.12 ]; then others="$$others $$version"; \
		elif ! "$$candidate" -c 'import venv, ensurepip' 2>/dev/null; then bare=$$candidate; \
		else python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ] && [ -n "$$bare" ]; then \
		echo "$$bare has no venv module, which poselift needs to make its environment;" \
			"on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	elif [ -z "$$python" ]; then \
		echo "poselift needs Python 3.11 or 3.12, found$${others:- none};" \
			"install one, or name one: make run PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi
endef

# install(extras, stamps, groups) brings $(VENV) to what pyproject.toml says; the groups are
# dependency groups that are installed without their own dependencies. The file `installing` names
# the process at work. Found without that process, it tells of an installation that was cut short
# and may have left packages that pip takes for whole: the environment is then made anew. pip ends
# with 1 when it gave up in good order (no network, say): what was there before is still whole.
define install
	lock=$(VENV)/installing; quiet=-q; \
	if [ -f $$lock ] && kill -0 "$$(cat $$lock)" 2>/dev/null; then \
		echo "another make (process $$(cat $$lock)) is installing into $(VENV);" \
			"wait for it, or remove $(VENV)" >&2; exit 1; \
	fi; \
	trap 'exit 130' INT TERM HUP; \
	if [ -f $$lock ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		$(find_python); \
		echo "making $(VENV) with $$python; this takes some minutes"; \
		rm -rf $(VENV) && mkdir $(VENV) && echo $$$$ >$$lock && "$$python" -m venv $(VENV) || exit 1; \
		quiet=; \
	fi; \
	echo $$$$ >$$lock; rm -f $(VENV)/.*-$(OTHER_RUNTIME); \
	pip() { \
		$(BIN)/python -m pip --disable-pip-version-check "$$@" && return; \
		status=$$?; [ $$status -ne 1 ] || rm -f $$lock; exit $$status; \
	}; \
	echo "installing poselift[$(1)]"; \
	if $(BIN)/python -m pip show -q onnxruntime$(if $(filter cpu,$(RUNTIME)),-gpu) 2>/dev/null; then \
		pip uninstall -q -y onnxruntime onnxruntime-gpu; \
	fi; \
	pip install $$quiet --no-warn-conflicts -e '.[$(1)]'; \
	pip install $$quiet --no-deps $$($(BIN)/python -c 'import tomllib; \
		groups = tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]; \
		print(*(pin for group in "$(3)".split() for pin in groups[group]))'); \
	touch $(2); rm -f $$lock
endef
