# etl_ext: built with PGXS. The version lives in etl_ext.control and nowhere else.
EXTENSION   = etl_ext
MODULE_big  = etl_ext
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" etl_ext.control)

PG_CONFIG ?= pg_config

OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c src/*/*.c))

# The install script is the parts in the order of their numbers.
INSTALL_SQL   = $(sort $(wildcard sql/install/*.sql))
DATA_built    = $(EXTENSION)--$(EXTVERSION).sql
DATA          = $(wildcard sql/upgrade/*--*--*.sql)

PG_CPPFLAGS = -I$(srcdir)/src -DETL_VERSION='"$(EXTVERSION)"' $(if $(FAULTS),-DETL_FAULTS)
PG_CFLAGS   = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare \
              -Wno-missing-field-initializers -MMD -MP
EXTRA_CLEAN = $(OBJS:.o=.d) output_iso tmp_check tmp_check_iso

REGRESS        = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS   = --load-extension=postgres_fdw --temp-instance=tmp_check --temp-config=test/etl_ext.conf
ISOLATION      = $(patsubst test/isolation/specs/%.spec,%,$(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=output_iso --temp-instance=tmp_check_iso \
                 --temp-config=test/etl_ext.conf
TAP_TESTS   = 1
PROVE_TESTS = test/t/*.pl

# Sources in MySQL and MariaDB are read with libmariadb; WITH_MYSQL=0 builds without it.
WITH_MYSQL ?= 1
ifeq ($(WITH_MYSQL),1)
PG_CPPFLAGS += -DETL_WITH_MYSQL $(shell mariadb_config --include)
MYSQL_LIBS  := $(shell mariadb_config --libs)
else
OBJS := $(filter-out src/mysql/%,$(OBJS))
endif

# Topics of Kafka are read with librdkafka; WITH_KAFKA=0 builds without it: the objects are the same, a read is refused.
WITH_KAFKA ?= 1
KAFKA_OBJS = config consumer define guard kafka_feed position problem row
ifeq ($(WITH_KAFKA),1)
OBJS := $(filter-out src/kafka/absent.o,$(OBJS))
KAFKA_LIBS := -lrdkafka
else
OBJS := $(filter-out $(KAFKA_OBJS:%=src/kafka/%.o),$(OBJS))
endif

# HTTP and SMTP; sources in PostgreSQL; compressed files.
PG_CPPFLAGS += -I$(shell $(PG_CONFIG) --includedir)
SHLIB_LINK  = -lcurl -lpq -lz -lzstd $(MYSQL_LIBS) $(KAFKA_LIBS)

# JIT gains nothing from a module whose time goes into SQL, and bitcode would need clang on every machine.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(EXTENSION)--$(EXTVERSION).sql: $(INSTALL_SQL) etl_ext.control
	cat $(INSTALL_SQL) > $@

-include $(OBJS:.o=.d)
