# Every target needs nothing typed before it: what is missing is installed, or named.
#
#   make test     builds and runs the tests (Swift and C)
#   make bench    compares with jemalloc and every other contender that is installed (make bench-full: the long form)
#   make lib      .build-lib/libtricolor.so for C programs; needs libc only
#   make soak     the long random tests
#   make sanitize address, undefined and thread sanitizers
#   make count    instruction counts of the fast paths and of marking, against tools/count/thresholds.txt
#   make lint     formatting and compiler warnings, clang and gcc

SWIFT ?= swift
LIB := .build-lib/libtricolor.so
C_SOURCES := $(shell find CRuntime/src -name '*.c')
LIB_SOURCES := $(shell find CRuntime Sources/TricolorCore Sources/TricolorC -type f) Package.swift

.PHONY: all test bench bench-full bench-tools lib soak sanitize count lint clean tools


tools:
	@./tools/install-tools.sh

lib: $(LIB)

# Embedded Swift: the same collector without the Swift runtime.
$(LIB): $(LIB_SOURCES) | tools
	@mkdir -p .build-lib
	./tools/exports.sh >.build-lib/exports.map
	$(SWIFT) build -c release --traits EmbeddedC --product tricolor-c --scratch-path .build-embedded \
	  -Xlinker -soname=libtricolor.so -Xlinker -Bsymbolic -Xlinker --version-script=.build-lib/exports.map
	cp .build-embedded/release/libtricolor-c.so $@

test: tools $(LIB)
	./tools/test.sh

# jemalloc is what we compare with; the others are welcome.
bench-tools: tools
	@./tools/install-tools.sh libc6-dev libjemalloc-dev
	@./tools/install-tools.sh --optional libmimalloc2.0 libtcmalloc-minimal4 libgc-dev
	@./tools/install-contenders.sh

bench: bench-tools $(LIB)
	./bench/run.sh --quick

bench-full: bench-tools $(LIB)
	./bench/run.sh --full

soak: tools
	./tools/soak.sh

sanitize: tools
	./tools/sanitize.sh

count: tools $(LIB)
	./tools/count/run.sh

lint: tools
	./tools/lint.sh

clean:
	rm -rf .build .build-* bench/.build* bench/.out
