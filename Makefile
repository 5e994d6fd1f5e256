# Thin targets over the CMake presets; `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc)
# Looked up when used: on a bare machine `setup` installs ccache first.
LAUNCHER = $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache)
CXX_FILES = git ls-files -- 'src/*.h' 'src/*.cc' 'test/*.h' 'test/*.cc' 'bench/*.h' 'bench/*.cc'
TIDY ?= src

.PHONY: help setup packages build tests unit test test-peers soak demo bench bench-outage check format tidy asan tsan clean

help:  ## this list
	@sed -nE 's/^([a-z -]+):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: packages  ## install packages and a CRIU that works here (as root)
	@scripts/criu.sh

packages:
	@scripts/setup.sh

build: packages build/build.ninja  ## build programs and plugins (no root once set up)
	@ninja -C build -j $(JOBS) programs

tests: packages build/build.ninja  ## build programs, plugins and tests
	@ninja -C build -j $(JOBS)

build/build.ninja: CMakePresets.json
	@cmake --preset release $(LAUNCHER)
	@touch $@

unit: tests  ## unit tests: no root, no network
	@scripts/test.sh unit

test: setup tests  ## every test, the end-to-end ones as samples (as root)
	@scripts/test.sh sample

test-peers: setup tests  ## the stores against servers that others wrote, installed in build/peers
	@scripts/peers.sh test

soak: setup tests  ## the end-to-end tests in full; takes hours (as root)
	@scripts/test.sh soak

demo: setup build  ## run, dump, list, restore on this machine (as root)
	@ninja -C build -j $(JOBS) workloads
	@scripts/demo.sh

bench: setup tests  ## dump and restore of 1 GiB beside plain CRIU (as root)
	@bench/run.sh

bench-outage: setup tests  ## the loss of a provider in the middle: 4 GiB, 50 seeded runs; hours (as root)
	@bench/outage.sh

check: packages format tidy asan tsan  ## format, clang-tidy, unit tests under sanitizers

format:  ## sources that clang-format would change are errors
	@$(CXX_FILES) | xargs -r clang-format --dry-run -Werror

tidy: packages  ## clang-tidy; TIDY=src/core/http limits the folders
	@cmake --preset release -B build/tidy/build >/dev/null
	@ninja -C build/tidy/build -j $(JOBS) cedana_proto build_id_text >/dev/null
	@scripts/tidy_sources.py build/tidy '$(TIDY)' | \
	  xargs -r -n 1 -P $(JOBS) clang-tidy -p build/tidy --quiet

asan tsan: packages  ## unit tests under ASan and UBSan, or under TSan
	@[[ -f build/$@/build.ninja ]] || cmake --preset $@ $(LAUNCHER)
	@setarch -R cmake --build --preset $@ -j $(JOBS)
	@[[ $@ != tsan ]] || g++ -std=c++20 -O1 -g -shared -fPIC -o build/$@/tsan_absl.so scripts/tsan_absl.cc \
	  -labsl_synchronization -labsl_time
	@scripts/test.sh $@

clean:  ## remove what was built, except CRIU and test-peers' servers
	@[[ ! -d build ]] || find build -mindepth 1 -maxdepth 1 ! -name criu ! -name peers -exec rm -rf {} +
