# One short command each. Every target sets up what it needs: a private environment in .venv and
# a build in build/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
TESTING := $(VENV)/testing
BUILD := build/dev
BUILD_TOOLS := "scikit-build-core>=0.11,<2" "nanobind>=2.4,<4" "grpcio-tools>=1.76,<1.77" "cmake>=3.24,<5" "ninja>=1.11,<2"
FOLDERS := kernels compiler scheduler daemon clients
JOBS ?= $(shell nproc)
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)

.PHONY: help setup build demo test test-python test-cpp test-isa test-arm check format bench coverage sanitize wheel clean

help:
	@echo "make demo      see several pruned networks served together, with a report"
	@echo "make test      build, then run every test"
	@echo "make test-isa  every test once per instruction set that this CPU has"
	@echo "make test-arm  C++ tests of the Arm build, under an emulator"
	@echo "make check     lint, types, folder boundaries, formatting"
	@echo "make bench     measure kernels, models and the daemon"
	@echo "make sanitize  C++ tests under AddressSanitizer and UBSan"
	@echo "make coverage  Python tests with line and branch coverage"
	@echo "make wheel     build dist/*.whl"

INSTALL := $(BIN)/python -m pip install --quiet --no-build-isolation -C build-dir=$(BUILD)
TESTS := -C cmake.define.COEXEC_TESTS=ON

# Build tools are named again beside the package, so that pip finds versions that suit all.
$(READY): pyproject.toml
	@sh cmake/prerequisites.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(BUILD_TOOLS)
	@echo "Building the kernels, once: some minutes, without a word."
	$(INSTALL) -e ".[demo]" $(BUILD_TOOLS)
	@touch $@

$(TESTING): $(READY)
	@echo "Building the C++ tests, once."
	$(INSTALL) $(TESTS) -e ".[test,check,demo]" $(BUILD_TOOLS)
	@touch $@

setup: $(TESTING)

# What is above built once; this brings C++ and protos up to date.
build: $(TESTING)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(INSTALL) $(TESTS) --no-deps -e .

demo: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(INSTALL) --no-deps -e .
	$(BIN)/coexec demo

test: test-cpp test-python

test-cpp: build
	$(BIN)/ctest --test-dir $(BUILD) --output-on-failure

test-python: build
	$(BIN)/python -m pytest

test-isa: build
	@for isa in $$($(BIN)/python -c "from coexec.kernels import _kernels; print(*_kernels.host_isas())"); do \
	  echo "COEXEC_ISA=$$isa"; export COEXEC_ISA=$$isa; \
	  $(MAKE) --no-print-directory test || exit 1; \
	done

test-arm: $(TESTING)
	@sh cmake/arm_tools.sh
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake -S . -B build/arm -G Ninja --toolchain cmake/aarch64-linux-gnu.cmake -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O2 -DCOEXEC_TESTS=ON
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build build/arm
	COEXEC_ISA=neon $(BIN)/ctest --test-dir build/arm -j $(JOBS) --output-on-failure
	COEXEC_ISA=ref $(BIN)/ctest --test-dir build/arm -j $(JOBS) --output-on-failure

check: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@sh cmake/typing_tree.sh $(BIN)/python build/typing $(FOLDERS)
	cd build/typing && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml $(foreach f,$(FOLDERS),-p coexec.$(f))
	@if command -v clang-format >/dev/null; then git ls-files '*.cc' '*.h' '*.inc' | xargs clang-format --dry-run --Werror; else echo "clang-format is not installed; C++ formatting not checked"; fi

format: $(TESTING)
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	git ls-files '*.cc' '*.h' '*.inc' | xargs clang-format -i

bench: build
	$(BIN)/python -m bench

coverage: build
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

sanitize: $(TESTING)
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake -S . -B build/sanitize -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1" -DCOEXEC_TESTS=ON -DCOEXEC_SANITIZE=address,undefined
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build build/sanitize
	$(BIN)/ctest --test-dir build/sanitize --output-on-failure

wheel: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps -w dist .

clean:
	rm -rf build dist $(VENV)
