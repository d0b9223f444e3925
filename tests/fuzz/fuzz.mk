# SPDX-License-Identifier: Apache-2.0
# Fuzzing.
# What the targets reach is compiled once.  A target may include a .c file to
# reach its static functions: the archive's copy is then not pulled in.
FUZZ_FLAGS := -std=gnu17 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_LIB_OBJ := $(patsubst %.c,$(B)/fuzz/obj/%.o,$(CORE_SRC) $(call src,proxy kube))
$(B)/fuzz/libfuzzed.a: $(FUZZ_LIB_OBJ)
$(B)/fuzz/obj/%.o: %.c | $(B)/.tools
	$(call msg,FUZZ-CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

# scripts/coverage has another one, built already.
FUZZ_LIB ?= $(B)/fuzz/libfuzzed.a
$(FUZZ_BIN): $(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/%.o $(FUZZ_LIB)
	$(call msg,FUZZ,$@)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer $^ $(AGENT_LIBS) -lm -o $@

.PHONY: fuzz-build fuzz fuzz-replay
fuzz-build: $(FUZZ_BIN)
fuzz: fuzz-build ## fuzz all targets for FUZZ_SECONDS (default 240) in all
	$(Q)scripts/fuzz run --build $(B)
fuzz-replay: fuzz-build ## replay the committed corpora
	$(Q)scripts/fuzz replay --build $(B)
