# The commands for people and CI; `make help` lists them.
# Needs GNU make (3.81 or later), a POSIX shell and Python 3.11 or 3.12.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# := so that only the command line changes these: some shells export a HOST of their own.
PORT :=
HOST :=
ARGS :=
COVERAGE := $(CI)
MINUTES := 20
ENV_DEVICE := $(shell sed -n "s/^ *POSELIFT_DEVICE *= *['\"]*\([a-z0-9:,]*\).*/\1/p" .env 2>/dev/null)
DEVICE := $(or $(POSELIFT_DEVICE),$(lastword $(ENV_DEVICE)),auto)

VENV := .venv
BIN := $(VENV)/bin

# ONNX Runtime is published as two packages of which only one may be installed: gpu where DEVICE
# names a GPU, or is auto and nvidia-smi works; otherwise cpu.
RUNTIME := $(shell \
	if [ '$(DEVICE)' = cpu ]; then echo cpu; \
	elif [ '$(DEVICE)' != auto ] || nvidia-smi >/dev/null 2>&1; then echo gpu; \
	else echo cpu; fi)
OTHER_RUNTIME := $(if $(filter gpu,$(RUNTIME)),cpu,gpu)

# Stamps: the parts of pyproject.toml that are installed in $(VENV).
SERVE := $(VENV)/.serve-$(RUNTIME)
EVERYTHING := $(VENV)/.everything-$(RUNTIME)
MMPOSE := $(VENV)/.mmpose-$(RUNTIME)
ifneq ($(shell [ -x $(BIN)/python ] && echo there),there)
.PHONY: $(SERVE) $(EVERYTHING) $(MMPOSE)
endif

.PHONY: help run setup test test-long docker-test check lock soak detector-heavy sample-weights mmpose test-mmpose clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  Options: PORT=9000 HOST=0.0.0.0 DEVICE=cpu|cuda|cuda:1|tensorrt, PYTHON=/path/to/python3.12,'
	@echo '  and ARGS="..." for further arguments of poselift serve, pytest or uv.'

run: export POSELIFT_DEVICE := $(DEVICE)
run: $(SERVE)  ## install what serving needs, then serve on http://127.0.0.1:8000
	@$(BIN)/python -m service.cli serve $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) $(ARGS)

setup: $(EVERYTHING)  ## install everything into .venv: service, training, tests, checks

PYTEST := -m pytest -n logical --maxprocesses 4 --dist loadfile
COVERED := build/coverage

# Measuring takes a third longer on Python 3.11; 3.12 has a faster way (sys.monitoring).
test: $(EVERYTHING)  ## run the tests; COVERAGE=1 also measures coverage (at least 92 %)
ifeq ($(COVERAGE),)
	@$(BIN)/python $(PYTEST) $(ARGS)
else
	@rm -rf $(COVERED) && mkdir -p $(COVERED)
	@COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
		$(BIN)/python -m coverage run $(PYTEST) $(ARGS)
	@$(BIN)/python -m coverage combine -q $(COVERED) && $(BIN)/python -m coverage report
endif

test-long: $(EVERYTHING)  ## run the tests that take minutes: servers killed, memory of long videos
	@$(BIN)/python -m pytest -m long -s $(ARGS)

docker-test: $(EVERYTHING)  ## build the CPU image and test it, with restarts (needs Docker)
	@$(BIN)/python -m pytest -m docker -v -s --durations=0 tests/docker/test_image.py $(ARGS)

check: $(EVERYTHING)  ## lint, format and types
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m ruff format --check
	@$(BIN)/python -m mypy

lock: pyproject.toml  ## update requirements/lock.txt; ARGS=--upgrade takes the newest versions
	@$(find_python); [ -x build/lock/bin/uv ] || { "$$python" -m venv build/lock \
		&& build/lock/bin/python -m pip install -qq uv; }
	@echo "torch; python_version < '3'" >build/lock/without-torch.txt
	@build/lock/bin/uv pip compile -q pyproject.toml --all-extras --universal --python-version 3.11 \
		--override build/lock/without-torch.txt --no-annotate --custom-compile-command 'make lock' \
		-o requirements/lock.txt $(ARGS)

detector-heavy: $(SERVE)  ## download MediaPipe's heavy model, for POSELIFT_DETECTOR=mediapipe:heavy
	@$(BIN)/python -m model.detectors.mediapipe.heavy $(ARGS)

sample-weights: $(EVERYTHING)  ## train small weights on the motion in tests/data (runs/sample)
	@mkdir -p runs/sample
	@$(BIN)/python -m service.cli import-motion tests/data/cmu_sample -o runs/sample/motion.npz --split cmu16
	@$(BIN)/python -m service.cli train runs/sample/motion.npz -o runs/sample/run.pt \
		--validation runs/sample/motion_val.npz --windows 20000 \
		--frames 9 --joint-width 8 --spatial-depth 1 --temporal-depth 2 --heads 4
	@$(BIN)/python -m service.cli export runs/sample/run.pt -o runs/sample/sample.onnx \
		--version 0.1.0 --validation runs/sample/motion_val.npz
	@$(BIN)/python -m service.cli evaluate runs/sample/sample.onnx runs/sample/motion_val.npz

mmpose: $(MMPOSE)  ## install MMPose, for POSELIFT_DETECTOR=mmpose (docs/detectors.md)

test-mmpose: $(MMPOSE)  ## run the tests of the detectors with MMPose installed
	@$(BIN)/python -m pytest tests/model/detectors $(ARGS)

soak: $(EVERYTHING)  ## put load on a server for MINUTES=20; fails if its memory grows
	@$(BIN)/python benchmarks/soak.py $(MINUTES)

clean:  ## remove .venv and everything built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

comma := ,
LOCKED := pyproject.toml requirements/lock.txt requirements/torch.txt

$(SERVE): $(LOCKED)
	@$(call install,$(RUNTIME),$(SERVE),detector)

$(EVERYTHING): $(LOCKED)
	@$(call install,$(RUNTIME)$(comma)train$(comma)test$(comma)dev,$(SERVE) $(EVERYTHING),detector)

$(MMPOSE): $(LOCKED)
	@$(call install,$(RUNTIME)$(comma)train$(comma)test$(comma)dev$(comma)mmpose,$(SERVE) $(EVERYTHING) $@,detector mmpose)

# Sets `python` to an interpreter that can make an environment, or exits with the reason why there is
# none. Each candidate is run: a name on the PATH (a version manager's shim) may not start.
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
		echo "$$bare has no venv module, which is needed to make $(VENV);" \
			"on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	elif [ -z "$$python" ]; then \
		echo "poselift needs Python 3.11 or 3.12, found$${others:- none};" \
			"install it, or give its path: make run PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi
endef

# install(extras, stamps, groups) installs into $(VENV) what pyproject.toml names, in the versions of
# requirements/; groups are dependency groups, installed without their own dependencies. The file
# `installing` holds the id of the installing process. If that process is gone, an installation was
# interrupted and may have left broken packages: $(VENV) is then made anew. pip exits with 1 when it
# gave up cleanly (no network, for example): what was installed before still works.
# pip runs with -qq: errors only.
define install
	lock=$(VENV)/installing; \
	if [ -f $$lock ] && kill -0 "$$(cat $$lock)" 2>/dev/null; then \
		echo "another make (process $$(cat $$lock)) is installing into $(VENV);" \
			"wait for it, or remove $(VENV)" >&2; exit 1; \
	fi; \
	trap 'exit 130' INT TERM HUP; \
	if [ -f $$lock ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		$(find_python); \
		echo "making $(VENV) with $$python"; \
		rm -rf $(VENV) && mkdir $(VENV) && echo $$$$ >$$lock && "$$python" -m venv $(VENV) || exit 1; \
	fi; \
	echo $$$$ >$$lock; rm -f $(VENV)/.*-$(OTHER_RUNTIME); \
	pip() { \
		$(BIN)/python -m pip --disable-pip-version-check -qq "$$@" && return; \
		status=$$?; [ $$status -ne 1 ] || rm -f $$lock; exit $$status; \
	}; \
	echo "installing poselift[$(1)]; the first time this downloads packages for some minutes"; \
	if $(BIN)/python -m pip show -q onnxruntime$(if $(filter cpu,$(RUNTIME)),-gpu) 2>/dev/null; then \
		pip uninstall -y onnxruntime onnxruntime-gpu; \
	fi; \
	pip install --no-warn-conflicts -c requirements/lock.txt -c requirements/torch.txt -e '.[$(1)]'; \
	pip install --no-deps $$($(BIN)/python -c 'import tomllib; \
		groups = tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]; \
		print(*(pin for group in "$(3)".split() for pin in groups[group]))'); \
	touch $(2); rm -f $$lock
endef
