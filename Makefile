# SPDX-License-Identifier: Apache-2.0
# weir: build, tests, checks, install.  `make help` lists the targets; V=1 shows
# the commands.  Everything generated goes to build/ (B=dir for another place).

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:
SHELL := /bin/bash
# bpftool, ip and others are there, and not everyone's PATH is.
export PATH := $(PATH):/usr/sbin:/sbin

# ---------------------------------------------------------------- tools, flags
CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
CLANG   ?= clang
BPFTOOL ?= bpftool
B       ?= build
WERROR  ?= $(if $(CI),-Werror)
SAN     ?=
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

PKGS    := libbpf libcjson yaml-0.1 libpcre2-8 libnghttp2 openssl
AGENT_LIBS = $(shell pkg-config --libs $(PKGS)) -lelf -lz -pthread
CTL_LIBS   = $(shell pkg-config --libs libcjson yaml-0.1 libpcre2-8 libcrypto) -pthread

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wformat=2 -Wcast-qual -Wwrite-strings -Wimplicit-fallthrough \
	-Wnull-dereference -Wundef
HARDEN := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fPIE \
	$(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
OPT  ?= -O2 -g
MODULES := util plan model compile status kernel proxy kube daemon cli
CPPFLAGS += -D_GNU_SOURCE -Iinclude -I$(B)/skel \
	$(addprefix -Iagent/,$(MODULES)) -Itests/harness
CFLAGS_ALL = -std=gnu17 $(OPT) $(WARN) $(WERROR) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all,$(HARDEN)) \
	-ffile-prefix-map=$(CURDIR)=. $(CFLAGS)
LDFLAGS_ALL = $(if $(SAN),-fsanitize=$(SAN),-pie -Wl,-z,relro,-z,now) $(LDFLAGS)

Q := $(if $(V),,@)
msg = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(CURDIR)/%,%,$(2))';)

# ---------------------------------------------------------------- sources
BPF_SRC   := $(sort $(wildcard bpf/*.bpf.c))
BPF_OBJ   := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.bpf.o)
SKEL      := $(BPF_SRC:bpf/%.bpf.c=$(B)/skel/%.skel.h)
src        = $(sort $(foreach m,$(1),$(wildcard agent/$(m)/*.c)))
obj        = $(patsubst %.c,$(B)/%.o,$(1))
CORE_SRC  := $(call src,util plan model compile)
AGENT_SRC := agent/main.c $(CORE_SRC) $(call src,status kernel proxy kube daemon)
# weirctl explain reads a request as the proxy would, with the proxy's parser.
CTL_SRC   := $(CORE_SRC) $(addprefix agent/proxy/,http1.c target.c limits.c) \
	$(call src,cli)
HARNESS_SRC := $(sort $(wildcard tests/harness/*.c))
TOOL_SRC  := $(filter tests/harness/weir-%,$(HARNESS_SRC))
DRIVER_BIN := $(patsubst tests/harness/%.c,$(B)/tests/%,$(filter %-driver.c,$(TOOL_SRC)))
TOOL_BIN  := $(TOOL_SRC:tests/harness/%.c=$(B)/tests/%)
TEST_SRC  := $(sort $(wildcard tests/*/test_*.c))
TEST_BIN  := $(TEST_SRC:%.c=$(B)/%)
DIFFER_SRC := $(sort $(wildcard tests/differential/*.c))
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))
BENCH_BIN := $(BENCH_SRC:tests/bench/%.c=$(B)/bench/%)
FUZZ_SRC  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN  := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)

.PHONY: all
all: $(B)/weir-agent $(B)/weirctl ## build both programs

# Missing tools are named with their Debian package by scripts/setup --check.
$(B)/.tools:
	$(Q)scripts/setup --check build
	$(Q)mkdir -p $(@D) && touch $@

# ---------------------------------------------------------------- BPF
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_FLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Wno-unused-parameter \
	$(WERROR) -Iinclude -Ibpf -I/usr/include/$(MULTIARCH) \
	-D__TARGET_ARCH_$(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')

$(B)/bpf/%.bpf.o: bpf/%.bpf.c | $(B)/.tools
	$(call msg,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_FLAGS) -MMD -MP -MT $@ -c $< -o $(@:.o=.tmp.o) -MF $(@:.o=.d)
	$(Q)$(BPFTOOL) gen object $@ $(@:.o=.tmp.o)

$(B)/skel/%.skel.h: $(B)/bpf/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name weir_$* > $@

# One name for all of them.
$(B)/.skel: $(SKEL)
	$(Q)touch $@

# ---------------------------------------------------------------- programs
$(call obj,$(call src,kernel)): | $(SKEL)

# Only what says the version is built again when it changes.
VERSION_OBJ := $(call obj,$(shell grep -lsw WEIR_VERSION $(AGENT_SRC) $(CTL_SRC)))
$(VERSION_OBJ): CPPFLAGS += -DWEIR_VERSION='"$(VERSION)"'
$(VERSION_OBJ): $(B)/.version
$(B)/.version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
.PHONY: FORCE

$(B)/%.o: %.c | $(B)/.tools
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(B)/weir-agent: $(call obj,$(AGENT_SRC))
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $(AGENT_LIBS) -o $@

$(B)/weirctl: $(call obj,$(CTL_SRC))
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $(CTL_LIBS) -o $@

# ---------------------------------------------------------------- tests
# A test links everything except the main functions, so that it can reach any
# module; tests/unit mirrors agent/.  Tools need nothing but util; drivers, which
# run a module by itself, need it.
LIB_OBJ := $(call obj,$(filter-out agent/main.c agent/cli/main.c,$(sort $(AGENT_SRC) $(CTL_SRC))))
HARNESS_OBJ := $(call obj,$(filter-out $(TOOL_SRC),$(HARNESS_SRC)) $(call src,util))

$(B)/libweir.a: $(LIB_OBJ)
$(B)/libharness.a: $(HARNESS_OBJ)
$(B)/%.a:
	$(call msg,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(TEST_BIN): $(B)/%: $(B)/%.o $(B)/libweir.a $(B)/libharness.a
	$(call msg,TEST,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $(AGENT_LIBS) -lm -o $@

$(DRIVER_BIN): $(B)/libweir.a
$(DRIVER_BIN): TOOL_LIBS = $(AGENT_LIBS)
$(B)/tests/weir-tls-peer: TOOL_LIBS = -lssl -lcrypto
$(TOOL_BIN): $(B)/tests/%: $(B)/tests/harness/%.o
	$(call msg,TOOL,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $(TOOL_LIBS) -lm -o $@

$(filter-out $(DRIVER_BIN),$(TOOL_BIN)): $(B)/libharness.a

$(BENCH_BIN): $(B)/bench/%: $(B)/tests/bench/%.o $(B)/libweir.a
	$(call msg,TOOL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $(AGENT_LIBS) -lm -o $@

# Weir's parser beside others, which are programs of their own.
$(B)/differential: $(call obj,$(DIFFER_SRC)) $(B)/libweir.a $(B)/libharness.a
	$(call msg,TOOL,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $(AGENT_LIBS) -lm -o $@

.PHONY: test-tools unit-tools unit check test test-long differential
test-tools: all $(TOOL_BIN) $(TEST_BIN) $(B)/differential
unit-tools: all $(TOOL_BIN) $(filter $(B)/tests/unit/%,$(TEST_BIN))

unit: unit-tools ## unit tests only (no root needed)
	$(Q)scripts/run-tests --build $(B) unit

check: lint unit ## lint and unit tests

test: ## every test: lint, unit, fuzz corpora, kernel and proxy tiers (root)
	$(Q)scripts/setup build test
	$(Q)scripts/test --build $(B)

test-long: test-tools ## what takes minutes: a million streams, 1 GiB bodies, slow clients
	$(Q)scripts/setup test long
	$(Q)scripts/run-tests --build $(B) tests/long/test-*.sh

STREAMS ?= 1000000
differential: $(B)/differential $(TOOL_BIN) ## STREAMS (10^6) of requests through weir's parser and others
	$(Q)tests/differential/run --build $(B) --streams $(STREAMS)

include tests/fuzz/fuzz.mk tests/cluster/cluster.mk

# ---------------------------------------------------------------- checks
.PHONY: lint format asan coverage
lint: $(B)/.skel ## formatting, static analysis, the project's own rules
	$(Q)WEIR_BUILD=$(B) scripts/lint/all
format: ## format all C in place
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format-14 -i
asan: ## unit tests under ASan and UBSan, in build/asan
	$(Q)$(SUBMAKE) B=$(B)/asan SAN=address,undefined unit
coverage: ## lines of the request path that tests reach, at least 90 % (root)
	$(Q)scripts/coverage --build $(B)/coverage

# ---------------------------------------------------------------- demo, bench
# All processors, unless whoever called has said how many.
SUBMAKE = $(MAKE) --no-print-directory \
	$(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
.PHONY: demo bench bench-tools
demo: ## the main job, live: connections and requests being divided
	$(Q)scripts/setup build demo
	$(Q)$(SUBMAKE) all $(TOOL_BIN)
	$(Q)scripts/demo --build $(B)
bench: ## side-by-side measurements (BENCH='all', 'keep64 ...'); results.json
	$(Q)scripts/setup build bench
	$(Q)$(SUBMAKE) all bench-tools
	$(Q)B=$(abspath $(B)) tests/bench/run $(BENCH)
bench-tools: $(TOOL_BIN) $(BENCH_BIN)

# ---------------------------------------------------------------- install
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= /etc/systemd/system
.PHONY: install uninstall
install: all ## programs, systemd unit, example directory (DESTDIR, PREFIX)
	$(Q)install -D -m 755 $(B)/weir-agent $(DESTDIR)$(PREFIX)/sbin/weir-agent
	$(Q)install -D -m 755 $(B)/weirctl $(DESTDIR)$(PREFIX)/bin/weirctl
	$(Q)PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' UNITDIR='$(UNITDIR)' \
		DESTDIR='$(DESTDIR)' BUILD='$(B)' scripts/install
uninstall: ## what install put there, except changed configuration
	$(Q)PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' UNITDIR='$(UNITDIR)' \
		DESTDIR='$(DESTDIR)' scripts/install --remove

# ---------------------------------------------------------------- the rest
.PHONY: setup clean help
setup: ## install what building and testing need (Debian)
	$(Q)scripts/setup all
clean: ## remove build/
	$(Q)rm -rf $(B)
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile tests/*/*.mk

-include $(patsubst %.c,$(B)/%.d,$(sort $(AGENT_SRC) $(CTL_SRC) $(HARNESS_SRC) $(TEST_SRC) $(BENCH_SRC) $(DIFFER_SRC)))
-include $(BPF_OBJ:.o=.d) $(FUZZ_LIB_OBJ:.o=.d) $(FUZZ_SRC:%.c=$(B)/fuzz/obj/%.d)
