/*
 * drift_apply.c
 *		schema_drift => 'evolve': the foreign table and the raw table follow the source. See drift.h.
 *
 * What cannot be altered (somebody else's table, a lock that is held, a view that depends on it) is no error: the extract
 * goes on as well as it can, says which statement is missing, and tries again next time. Locks are waited for briefly,
 * because everybody who wants to read the table waits behind us.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_collation_d.h"
#include "catalog/spi.h"
#include "catalog/watermark.h"
#include "compat.h"
#include "source/drift.h"
#include "source/drift_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#define LOCK_TIMEOUT "5s"

/* A raw table up to this size is rewritten when a column needs it. */
#define REWRITE_LIMIT (INT64CONST(1) << 30)

/* may_fail says whether an ALTER that ended with this error is left to a person. */
static bool
may_fail(int sqlstate)
{
	return sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE || sqlstate == ERRCODE_LOCK_NOT_AVAILABLE ||
		   sqlstate == ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST || sqlstate == ERRCODE_FEATURE_NOT_SUPPORTED ||
		   sqlstate == ERRCODE_OBJECT_IN_USE || sqlstate == ERRCODE_INVALID_TABLE_DEFINITION;
}

/* run_alter executes a statement with a limit for its locks. */
static void
run_alter(const char *sql)
{
	int level = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) etl_sql_exec(sql, SPI_OK_UTILITY);
	AtEOXact_GUC(false, level);
}

/* try_alter returns NULL, or why a statement could not be executed. */
static char *
try_alter(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		run_alter(sql);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error == NULL)
		return NULL;
	if (!may_fail(error->sqlerrcode))
		ReThrowError(error);
	return error->message;
}

/* raw_type returns the type of a column of the raw table; NULL: there is none. */
static char *
raw_type(Oid raw, const char *name)
{
	AttrNumber attnum = get_attnum(raw, name);
	Oid type;
	int32 typmod;
	Oid collation;

	if (attnum == InvalidAttrNumber)
		return NULL;
	get_atttypetypmodcoll(raw, attnum, &type, &typmod, &collation);
	type = getBaseTypeAndTypmod(type, &typmod);
	return format_type_with_typemod(type, typmod);
}

/* collate returns the COLLATE clause of a column that has another collation than that of its type. */
static char *
collate(const EtlColumn *column)
{
	if (column == NULL || !OidIsValid(column->collation) || column->collation == get_typcollation(column->type))
		return "";
	return psprintf(" COLLATE %s",
					DatumGetCString(DirectFunctionCall1(regcollationout, ObjectIdGetDatum(column->collation))));
}

/* fail notes what could not be done and the statement that does it. */
static void
fail(EtlDriftChange *change, const char *consequence, const char *why, const char *sql)
{
	change->event.action = psprintf("%s: %s (%s;)", consequence, why, sql);
	change->pending = true;
}

/* etl_drift_apply_added adds the column to the foreign table and to the raw table. */
void
etl_drift_apply_added(EtlExtract *extract, const EtlDriftColumns *columns, const EtlDriftColumn *column,
					  EtlDriftChange *change)
{
	const char *name = column->local ? column->local->name : column->name;
	char *sql;
	char *why;

	if (strncmp(name, "_etl_", 5) == 0)
	{
		change->event.action = "not taken: names that begin with _etl_ belong to columns of etl_ext";
		change->excluded = true;
		return;
	}
	if (column->local == NULL)
	{
		sql = psprintf("ALTER FOREIGN TABLE %s ADD COLUMN %s %s", columns->all->name, quote_identifier(name),
					   column->local_type);
		why = try_alter(sql);
		if (why)
		{
			fail(change, "not taken", why, sql);
			return;
		}
	}
	change->event.action = "taken into the raw table";
	if (get_attnum(extract->raw, name) != InvalidAttrNumber)
		return;
	sql = psprintf("ALTER TABLE %s ADD COLUMN %s %s%s", etl_relation_name(extract->raw), quote_identifier(name),
				   column->local_type, collate(column->local));
	why = try_alter(sql);
	if (why)
		fail(change, "kept in _etl_extra", why, sql);
	else
		(void) etl_sql_exec(
			psprintf("COMMENT ON COLUMN %s.%s IS %s", etl_relation_name(extract->raw), quote_identifier(name),
					 quote_literal_cstr(psprintf("Column %s of %s.", quote_identifier(name), columns->all->name))),
			SPI_OK_UTILITY);
}

/* etl_drift_apply_dropped takes the column out of the foreign table; the raw table keeps it. */
void
etl_drift_apply_dropped(EtlExtract *extract, const EtlDriftColumns *columns, EtlDriftChange *change)
{
	char *sql;
	char *why;

	change->event.action = "no longer read; the raw table keeps it, NULL in new rows";
	if (change->local == NULL || !columns->is_remote)
		return;
	sql = psprintf("ALTER FOREIGN TABLE %s DROP COLUMN %s", columns->all->name, quote_identifier(change->local->name));
	why = try_alter(sql);
	if (why == NULL)
		return;
	change->excluded = true;
	fail(change, "no longer read, NULL in new rows; the foreign table still has it", why, sql);
}

/* raw_size returns the size of the raw table in bytes. */
static int64
raw_size(Oid raw)
{
	int64 size = 0;

	(void) etl_sql_int64(psprintf("SELECT coalesce(sum(pg_catalog.pg_table_size(relid)), 0)::bigint "
								  "FROM pg_catalog.pg_partition_tree(%u)",
								  raw),
						 &size);
	return size;
}

/* widen_raw gives the raw column a type that takes all values. */
static void
widen_raw(EtlExtract *extract, const char *name, const char *type, EtlDriftChange *change)
{
	static const char *const narrow = "the raw column stays as it is, a value that does not fit is an error";
	char *old = raw_type(extract->raw, name);
	char *sql;
	char *why;

	if (old == NULL || etl_drift_type_compare(old, type) != ETL_TYPE_WIDENED)
		return;
	sql = psprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s", etl_relation_name(extract->raw), quote_identifier(name),
				   type);
	if (!etl_drift_type_in_place(old, type) && raw_size(extract->raw) > REWRITE_LIMIT)
		why = "the raw table is larger than 1 GB and would be rewritten";
	else
		why = try_alter(sql);
	if (why)
		fail(change, narrow, why, sql);
}

/* follow_cursor lets the watermark have the new type of its column. */
static void
follow_cursor(EtlExtract *extract, const EtlDriftColumns *columns, const char *name)
{
	const char *cursor = extract->attempt->task->cursor_column;
	const EtlColumn *column;

	if (cursor == NULL || strcmp(cursor, name) != 0)
		return;
	column = etl_relation_column(etl_relation_describe(columns->all->oid, NULL), name);
	if (column)
		etl_watermark_retype(extract->attempt->task->task_id, column->type);
}

/* etl_drift_apply_widened widens the foreign column and the raw column where they are narrower. */
void
etl_drift_apply_widened(EtlExtract *extract, const EtlDriftColumns *columns, const EtlDriftColumn *column,
						EtlDriftChange *change)
{
	const EtlColumn *local = column->local;
	char *type = format_type_with_typemod(local->type, local->typmod);
	char *sql;
	char *why;

	change->event.action = "widened here too";
	if (columns->is_remote && etl_drift_type_compare(type, column->local_type) == ETL_TYPE_WIDENED)
	{
		sql = psprintf("ALTER FOREIGN TABLE %s ALTER COLUMN %s TYPE %s", columns->all->name,
					   quote_identifier(local->name), column->local_type);
		why = try_alter(sql);
		if (why)
		{
			fail(change, "the foreign column stays as it is, a value that does not fit is an error", why, sql);
			return;
		}
	}
	widen_raw(extract, local->name, column->local_type, change);
	follow_cursor(extract, columns, local->name);
}
