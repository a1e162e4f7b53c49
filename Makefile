# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The front door: `make help` lists what there is. The C++ parts are CMake's (CMakeLists.txt), the
# module is Kbuild's (Kbuild); this file calls both, with paths relative to this folder, because
# make cannot handle white space in names.

# The kernel of guests: 6.1, 6.12 or 7, Debian's own.
KERNEL ?= 6.1
# Those of `make test-kernels`.
KERNELS ?= 6.1 6.12 7
# Those of `make test-sanitize`.
SANITIZERS ?= 6.12-kasan 6.12-kcsan
# How the names of its tests begin, a regular expression; all if empty.
ONLY ?=
# Where `make install` puts user space, and below which root it puts everything.
PREFIX ?= /usr/local
DESTDIR ?=
# What `make` builds the module against, and `make install` installs it for.
HEADERS ?= /lib/modules/$(shell uname -r)/build

BUILD_TYPE ?= RelWithDebInfo
# How long `make fuzz` runs, and each program of `make fuzz-parsers`.
SECONDS ?= 120
# Whether the C++ tests are built, too.
TESTS ?= OFF
# Arguments for kdbus-bench, such as: signals --profile
BENCH ?=

vm := selftests/vm
jobs := $(shell nproc)
configure = cmake -S . -DCMAKE_BUILD_TYPE="$(BUILD_TYPE)" -DCMAKE_INSTALL_PREFIX="$(PREFIX)"
# Two makes at once in one checkout take turns.
locked = mkdir -p build && flock build/.lock sh -c
# Kbuild takes no white space either: `module` sees to that.
# (Two kernels for guests may have the same release, so they go by name.)
module = $(vm)/module "$(or $(GUEST_KERNEL),$$(readlink -f '$(HEADERS)'))"
module_directory = '$(DESTDIR)'/lib/modules/$$(sed -n 's/^.define UTS_RELEASE "\(.*\)"$$/\1/p' '$(HEADERS)'/include/generated/utsrelease.h)/updates
have_headers = [ -e '$(HEADERS)'/include/generated/utsrelease.h ]
no_headers = echo "The module is not built: this kernel's headers are missing (on Debian: apt-get install linux-headers-$$(uname -r))."

.PHONY: all user-space module install uninstall test test-kernels test-sanitize check-module fuzz
.PHONY: test-threads check-compilers fuzz-parsers bench bench-codecs bench-codecs-time
.PHONY: bench-codecs-exact codec-bench demo docs shell clean clean-cache help build-packages
.PHONY: test-packages sanitize-packages clang-packages sanitized-user-space stage

# One step after the other: each uses all processors itself.
.NOTPARALLEL:

all: user-space module

help:
	@echo 'make demo            boot a guest and show the bus at work, step by step'
	@echo 'make test            run all tests, here and in a guest'
	@echo 'make bench           measure what messages cost, in a guest that counts instructions'
	@echo 'make bench-codecs    what making and reading messages costs, next to other libraries'
	@echo 'make shell           a shell in a guest with the bus running; Ctrl-D leaves it'
	@echo '                     each with KERNEL=6.1 (default), 6.12 or 7, Debian kernels'
	@echo 'make test-kernels    the tests of the kernel interface on all these kernels'
	@echo 'make test-sanitize   the guest tests on kernels built with KASAN, lockdep, KCSAN'
	@echo 'make test-threads    connections in several threads, with the thread sanitizer'
	@echo 'make check-module    W=1, sparse and checkpatch'
	@echo 'make check-compilers user space with clang, and with the next Debian release'
	@echo 'make docs            pages of the guide and of the library, build/docs/html'
	@echo 'make fuzz            fuzz the module [SECONDS=120] [SEED=]; see selftests/fuzz/main.cpp'
	@echo 'make fuzz-parsers    fuzz what reads messages, rules, addresses... [SECONDS=120]'
	@echo
	@echo 'make                 build the module for the running kernel, and user space'
	@echo 'make install         install them [PREFIX=/usr/local] [DESTDIR=]'
	@echo 'make uninstall       remove what make install installed'
	@echo 'make clean           remove build/'
	@echo 'make clean-cache     remove downloaded and built kernels and guests'

build-packages:
	@$(vm)/packages-install build

test-packages:
	@$(vm)/packages-install build test

sanitize-packages:
	@$(vm)/packages-install build test sanitize

clang-packages:
	@$(vm)/packages-install build test clang

user-space: build-packages
	@$(locked) '$(configure) -B build -DKDBUS_TESTS=$(TESTS) >/dev/null && \
		cmake --build build -j$(jobs)'

sanitized-user-space: test-packages
	@$(locked) '$(configure) -B build/sanitize -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="-O1 -g1" \
		-DKDBUS_SANITIZE=ON >/dev/null && \
		cmake --build build/sanitize -j$(jobs) --target $$($(vm)/test --host-programs)'

module: build-packages
	@if $(have_headers); then $(module); else $(no_headers); fi

install: all
	@DESTDIR='$(DESTDIR)' flock build/.lock cmake --install build >/dev/null
	@set -e; \
	if $(have_headers); then \
		built=$$($(module)); \
		install -D -m 0644 "$$built" $(module_directory)/kdbus.ko; \
		[ -n '$(DESTDIR)' ] || depmod "$$(basename "$$(dirname $(module_directory))")"; \
	fi
	@[ -n '$(DESTDIR)' ] || ldconfig

# What the last `make install` listed, and the module.
uninstall:
	@[ -e build/install_manifest.txt ] || { \
		echo 'build/install_manifest.txt is missing: run make install with the same PREFIX first'; \
		exit 1; }
	@while IFS= read -r file || [ -n "$$file" ]; do rm -f '$(DESTDIR)'"$$file"; done \
		<build/install_manifest.txt
	@find '$(DESTDIR)$(PREFIX)' -depth -type d -path '*kdbus*' -empty -delete
	@set -e; \
	if $(have_headers); then \
		rm -f $(module_directory)/kdbus.ko; \
		[ -n '$(DESTDIR)' ] || depmod "$$(basename "$$(dirname $(module_directory))")"; \
	fi
	@[ -n '$(DESTDIR)' ] || ldconfig

# What `make install` installs, as a layer for guests with kernel KERNEL. (In Debian /lib is a link
# to usr/lib, which a folder of that name would hide.)
stage: test-packages
	@rm -rf build/stage-$(KERNEL).new
	@mkdir -p build/stage-$(KERNEL).new/usr/lib
	@ln -s usr/lib build/stage-$(KERNEL).new/lib
	@headers=$$($(vm)/kernel $(KERNEL))/headers && \
	$(MAKE) --no-print-directory install DESTDIR=build/stage-$(KERNEL).new HEADERS="$$headers" \
		GUEST_KERNEL=$(KERNEL) TESTS=$(TESTS)
	@rm -rf build/stage-$(KERNEL)
	@mv build/stage-$(KERNEL).new build/stage-$(KERNEL)

test: TESTS = ON
test: stage
	@$(vm)/test --host --build-host $(KERNEL)

test-sanitize: sanitize-packages
	@set -e; for kernel in $(SANITIZERS); do \
		$(MAKE) --no-print-directory stage KERNEL=$$kernel TESTS=ON; \
	done
	@$(vm)/test --only '$(ONLY)' $(SANITIZERS)

test-threads: test-packages
	@$(locked) '$(configure) -B build/tsan -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="-O1 -g1" \
		-DKDBUS_SANITIZE_THREADS=ON >/dev/null && \
		cmake --build build/tsan -j$(jobs) --target lib-threads-host'
	@$(vm)/test --build build/tsan --only lib-threads

test-kernels: test-packages
	@set -e; for kernel in $(KERNELS); do \
		$(MAKE) --no-print-directory stage KERNEL=$$kernel TESTS=ON; \
	done
	@$(vm)/test --only abi- $(KERNELS)

check-module: sanitize-packages
	@$(vm)/check-module 6.1 6.12 7

check-compilers: clang-packages
	@selftests/compilers/check

# When it kills the kernel, the end of the journal tells with what.
fuzz: sanitize-packages
	@$(locked) '$(configure) -B build -DKDBUS_TESTS=ON >/dev/null && \
		cmake --build build -j$(jobs) --target fuzz'
	@mkdir -p build/vm
	@$(vm)/run --kernel 6.12-kasan --timeout $$(($(SECONDS) + 900)) --append oops=panic \
		--result build/vm/fuzz.journal -- '$(CURDIR)'/build/selftests/fuzz/fuzz --journal 3 \
		--seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# In build/fuzz, where what they find stays, too.
fuzz-parsers: clang-packages
	@$(locked) '$(configure) -B build/fuzz -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="-O1 -g1" \
		-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DKDBUS_FUZZ=ON \
		-DKDBUS_TESTS=OFF >/dev/null && \
		cmake --build build/fuzz -j$(jobs) --target fuzz-parsers'
	@selftests/lib/fuzz/run build/fuzz/selftests/lib/fuzz $(SECONDS)

demo: stage
	@selftests/demo/run $(KERNEL)

# Exact, and independent of the machine: see docs/kdbus-bench.1.
bench: stage
	@$(vm)/run --kernel $(KERNEL) --deterministic --timeout 1800 \
		--layer build/stage-$(KERNEL) -- \
		sh -c 'ldconfig && exec "$(PREFIX)/bin/kdbus-bench" $(BENCH)'

# Each fails if another library is ahead anywhere: in time, which other work on the machine spoils, and
# in instructions, counted in a guest.
bench-codecs: bench-codecs-time bench-codecs-exact

codec-bench: test-packages
	@$(locked) '$(configure) -B build >/dev/null && \
		cmake --build build -j$(jobs) --target codec-bench'

bench-codecs-time: codec-bench
	@build/tools/codec-bench/codec-bench

bench-codecs-exact: codec-bench
	@$(vm)/run --kernel $(KERNEL) --deterministic --timeout 1800 -- \
		'$(CURDIR)'/build/tools/codec-bench/codec-bench --exact

shell: stage
	@$(vm)/shell $(KERNEL)

docs: test-packages
	@mkdir -p build
	@doxygen docs/Doxyfile
	@echo 'build/docs/html/index.html'

clean:
	rm -rf build

clean-cache:
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/kdbus"
