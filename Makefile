# outbox_ext: build with PGXS. `make demo` and `make test` install what they need
# and run private servers; see README.md.
EXTENSION    = outbox_ext
EXTVERSION   = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" outbox_ext.control)
MODULE_big   = outbox_ext

# One folder per layer; layers depend downwards only (docs/architecture.md).
LAYERS       = src src/catalog src/contract src/avro src/capture src/shared src/deadletter src/relay src/sink
OBJS         = $(patsubst %.c,%.o,$(sort $(foreach d,$(LAYERS),$(wildcard $(d)/*.c))))
SINKS        = src/sinks/log src/sinks/kafka

# The order of the parts is the order of the script; a name sorts itself.
SQL_PARTS    = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
SQL_SCRIPT   = outbox_ext--$(EXTVERSION).sql
DATA_built   = $(SQL_SCRIPT)
HEADERS_outbox_ext = src/sink/outbox_sink.h

REGRESS      = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --outputdir=build/regress --load-extension=outbox_ext
ISOLATION    = $(patsubst test/isolation/specs/%.spec,%,$(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=build/isolation --load-extension=outbox_ext

PG_CPPFLAGS  = -I$(srcdir)/src -DOUTBOX_VERSION='"$(EXTVERSION)"'
PG_CFLAGS    = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-cast-function-type
SHLIB_LINK   = -lavro -ljansson
EXTRA_CLEAN  = $(SQL_SCRIPT) build

PG_CONFIG   ?= pg_config
PGXS        := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

override with_llvm = no

$(SQL_SCRIPT): $(SQL_PARTS) outbox_ext.control
	cat $(SQL_PARTS) > $@

# Objects depend on every header: a stale object in a running server costs more than a rebuild.
$(OBJS): $(wildcard src/*.h src/*/*.h)

all: sinks
install: install-sinks
clean: clean-sinks
.PHONY: sinks install-sinks clean-sinks
sinks install-sinks clean-sinks:
	@set -e; for d in $(SINKS); do $(MAKE) --no-print-directory -C $$d PG_CONFIG='$(PG_CONFIG)' $(patsubst sinks,all,$(patsubst %-sinks,%,$@)); done
