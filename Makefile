# outbox_ext: an ordinary PGXS build (make, make install, make installcheck), and two commands
# that need nothing but a Debian machine: make demo and make test install what is missing and run
# everything in private servers. See README.md and CONTRIBUTING.md.
EXTENSION    = outbox_ext
EXTVERSION   = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" outbox_ext.control)
MODULE_big   = outbox_ext

# One folder per room; test/rooms says which may use which. src/sinks/ holds libraries of their own.
SOURCES      = $(filter-out src/sinks/%,$(wildcard src/*.c src/*/*.c src/*/*/*.c))
OBJS         = $(patsubst %.c,%.o,$(sort $(SOURCES)))

# C functions through which tests and benchmarks reach behind the SQL API. They need the library's own
# buffers, callbacks and shared memory, so they cannot be a library of their own without making an interface
# of these: TEST_FUNCTIONS=1 links them in. What is built without it, which is what ships, does not have them.
TEST_OBJS    = $(patsubst %.c,%.o,$(sort $(wildcard test/modules/test_functions/*.c)))
OBJS        += $(if $(TEST_FUNCTIONS),$(TEST_OBJS))

SINKS        = $(patsubst %/Makefile,%,$(sort $(wildcard src/sinks/*/Makefile)))

# The order of the parts is the order of the script; a name sorts itself.
SQL_PARTS    = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
SQL_SCRIPT   = outbox_ext--$(EXTVERSION).sql
DATA_built   = $(SQL_SCRIPT)
HEADERS_outbox_ext = src/sink/outbox_sink.h

# installcheck runs against the server that PGHOST and PGPORT name. A test whose first line says
# "needs preloading" is left out there unless PRELOADED=1 says that the server preloads outbox_ext; one
# that "needs test functions", unless TEST_FUNCTIONS=1 says, as it did to the build, that they are there.
REGRESS_ALL  = $(sort $(wildcard test/sql/*.sql))
ISOLATION_ALL = $(sort $(wildcard test/isolation/specs/*.spec))
needing      = $(shell for t in $(REGRESS_ALL) $(ISOLATION_ALL); do sed -n '1{/needs $(1)/!q;F}' $$t; done)
LEFT_OUT     = $(if $(PRELOADED),,$(call needing,preloading)) $(if $(TEST_FUNCTIONS),,$(call needing,test functions))
REGRESS      = $(patsubst test/sql/%.sql,%,$(filter-out $(LEFT_OUT),$(REGRESS_ALL)))
REGRESS_OPTS = --inputdir=test --load-extension=outbox_ext
ISOLATION    = $(patsubst test/isolation/specs/%.spec,%,$(filter-out $(LEFT_OUT),$(ISOLATION_ALL)))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=outbox_ext

PG_CPPFLAGS  = -I$(srcdir)/src -DOUTBOX_VERSION='"$(EXTVERSION)"'
PG_CFLAGS    = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-cast-function-type
SHLIB_LINK   = -lavro -ljansson
EXTRA_CLEAN  = $(SQL_SCRIPT) build/regress build/tap build/log $(TEST_OBJS) build/linked

PG_CONFIG   ?= pg_config

# These goals must work where no PostgreSQL is installed yet.
BENCH_GOALS  = bench bench-peers bench-orders bench-bulk bench-oneorder bench-write bench-onerow bench-drain bench-start bench-latency bench-rejections bench-idle bench-storage bench-ddl
TOOL_GOALS   = demo test test-matrix soak trials fuzz valgrind lint format deps $(BENCH_GOALS)
# Bitcode for JIT inlining is of no use to a trigger, and its compiler need not be there.
override with_llvm = no
ifeq ($(filter $(TOOL_GOALS),$(MAKECMDGOALS)),)
PGXS        := $(shell $(PG_CONFIG) --pgxs)
$(if $(PGXS),,$(error $(PG_CONFIG) does not run: install PostgreSQL with its development files, or say where with PG_CONFIG=))
include $(PGXS)
# The sinks need it; better to hear so before the rest is built.
PKG_CONFIG  ?= pkg-config
ifneq ($(filter-out clean distclean uninstall installcheck,$(or $(MAKECMDGOALS),all)),)
$(if $(shell command -v $(PKG_CONFIG)),,$(error $(PKG_CONFIG) is not there: install it (Debian: pkg-config), or say where with PKG_CONFIG=))
endif
endif

$(SQL_SCRIPT): $(SQL_PARTS) outbox_ext.control
	cat $(SQL_PARTS) > $@

# Objects depend on every header: a stale object in a running server costs more than a rebuild.
$(OBJS): $(wildcard src/*.h src/*/*.h src/*/*/*.h)

# The other set of objects makes another library, though none of them is newer.
$(MODULE_big)$(DLSUFFIX): build/linked
build/linked: always
	@mkdir -p build; echo '$(TEST_FUNCTIONS)' | cmp -s - $@ || echo '$(TEST_FUNCTIONS)' >$@
.PHONY: always

all: sinks
install: install-sinks
uninstall: uninstall-sinks
clean: clean-sinks
distclean: clean-build
.PHONY: sinks install-sinks uninstall-sinks clean-sinks clean-build
sinks install-sinks uninstall-sinks clean-sinks:
	@set -e; for d in $(SINKS); do $(MAKE) --no-print-directory -C $$d PG_CONFIG='$(abspath-config)' $(patsubst sinks,all,$(patsubst %-sinks,%,$@)); done
clean-build:
	rm -rf build

# The demo's and the tests' broker: librdkafka's mock cluster in a program of its own.
build/mock_broker: tools/mock_broker.c
	mkdir -p build
	$(CC) -O2 -Wall -Wextra -Werror -o $@ $< $(shell pkg-config --cflags --libs rdkafka)

# A relative PG_CONFIG must mean the same in a sub-directory.
abspath-config = $(if $(findstring /,$(PG_CONFIG)),$(abspath $(PG_CONFIG)),$(PG_CONFIG))

# ---- the two commands, and their parts ----------------------------------------------------------
.PHONY: $(TOOL_GOALS)
demo:
	@BROKER='$(BROKER)' REGISTRY='$(REGISTRY)' tools/demo.sh

# make test ONLY="lint regress tap" runs some parts; PROVE_TESTS="test/t/x.pl" some TAP files.
test:
	@ONLY='$(ONLY)' PROVE_TESTS='$(PROVE_TESTS)' test/run/all.sh

# On PostgreSQL 15 to 19 and one with assertions, or some of them: make test-matrix MAJORS="17 cassert" ONLY="regress". Needs root.
test-matrix:
	@ONLY='$(ONLY)' PROVE_TESTS='$(PROVE_TESTS)' test/matrix.sh $(or $(MAJORS),15 16 17 18 19 cassert)

# 200 kills and a million events, about 15 minutes: make soak SEED=7 KILLS=1000 EVENTS=5000000
# To a real Kafka: KAFKA=1; which fails batches at random: KAFKA=1 PROXY=1.
soak:
	@KAFKA='$(KAFKA)' PROXY='$(PROXY)' test/run/soak.sh --kills $(or $(KILLS),200) --events $(or $(EVENTS),1000000) $(addprefix --seed ,$(SEED))

# What takes minutes: failovers, rotated secrets, names that move, a thousand topics, under load, with a real Kafka. make trials TRIALS=test/trials/names.pl
trials:
	@ONLY=tap PROVE_TESTS='$(or $(TRIALS),$(wildcard test/trials/*.pl))' test/run/all.sh

# Random inputs for the units that need no server: make fuzz SECONDS=600
fuzz:
	@$(MAKE) -s -C test/unit fuzz PG_CONFIG='$(abspath-config)' FUZZ_SECONDS=$(or $(SECONDS),60)

# The regression tests in a server under valgrind; some minutes.
valgrind:
	@ONLY=valgrind test/run/all.sh

lint:
	@test/lint.sh

# With clang-format 14, which is Debian 12's.
format:
	$$(command -v clang-format-14 || echo clang-format) --style=file -i $$(find src test tools -name '*.[ch]')

deps:
	@tools/install_deps.sh test

# ---- bench --------------------------------------------------------------------------------------
# See bench/README.md. One in detail: make bench-drain ARGS="--rounds 3". The proof, in less than 25 minutes, with its sizes:
# make bench ROUNDS=5 EVENTS=1000000 SECONDS=20
bench:
	@bench/run.sh peers --rounds $(or $(ROUNDS),3) --events $(or $(EVENTS),300000) --seconds $(or $(SECONDS),10)
	@bench/run.sh write --rounds $(or $(ROUNDS),3) --rows $(or $(EVENTS),300000)
	@bench/run.sh orders --rounds $(or $(ROUNDS),3)
	@bench/run.sh onerow --rounds $(or $(ROUNDS),3)
$(filter-out bench,$(BENCH_GOALS)): bench-%:
	@bench/run.sh $* $(ARGS)
