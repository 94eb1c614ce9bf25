/*
 * salvage.c
 *		Fills the delta although some rows cannot be stored: those go to etl.quarantine. See delta.h.
 *
 * The query is evaluated into a table with its own types, so an error of the author's expressions still ends the task.
 * Then rows without a key are put aside, the latest version of each key is kept, and the rest is stored by bisection.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "load/bisect.h"
#include "load/delta.h"
#include "load/dml.h"
#include "load/reject.h"
#include "load/text.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

/* Rows without a key that are put aside at a time. */
#define REJECT_ROWS 100

typedef struct Salvage
{
	EtlDelta *delta;
	char *stage;	   /* the rows, numbered by _etl_n */
	char *destination; /* where they go: the delta, or a table from which duplicates still have to go */
	char *extra;	   /* further columns that go along: ", _etl_seq", or "" */
	char *probe;	   /* takes single values, to find out which column is at fault */
	const char *probe_column;
	int64 probe_row;
	int64 last; /* rows of the last piece */
} Salvage;

/* sequence_columns returns the columns _etl_seq... each after separator and prefix and followed by suffix. */
static char *
sequence_columns(const EtlPlan *plan, const char *prefix, const char *suffix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < plan->compile->n_sequence; i++)
		appendStringInfo(&sql, ", %s%s%s", prefix, etl_compile_sequence_name(i), suffix);
	return sql.data;
}

/* read_query evaluates the query into table with the search_path of the author and returns the number of rows. */
static int64
read_query(EtlDelta *delta, const char *table)
{
	int level = etl_attempt_author_path(delta->plan->task);
	int64 rows;

	rows = (int64) etl_sql_exec(psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT pg_catalog.row_number()"
										 " OVER () AS _etl_n, q.* FROM (%s) AS q",
										 table, delta->query),
								SPI_OK_UTILITY);
	AtEOXact_GUC(true, level);
	(void) etl_sql_exec(psprintf("CREATE INDEX ON %s (_etl_n)", table), SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("ANALYZE %s (_etl_n)", table), SPI_OK_UTILITY);
	return rows;
}

/* reject_without_key puts the rows aside in which one key column is NULL, a few at a time. */
static void
reject_without_key(EtlDelta *delta, const char *table, int key)
{
	const EtlColumn *column = etl_plan_key(delta->plan, key);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "etl_ext reject", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	bool is_time = key >= delta->plan->task->key.n; /* of mode scd2, see history_stage.c */
	EtlReject reject = {
		table,
		psprintf(is_time ? "null value in \"%s\", the time of a version" : "null value in key column \"%s\"",
				 column->name),
		"23502", column->name};
	StringInfoData is_null;
	int64 low = 0;
	int64 high;

	initStringInfo(&is_null);
	appendStringInfo(&is_null, "s.%s IS NULL", column->quoted);
	for (int i = 0; i < key; i++)
		appendStringInfo(&is_null, " AND s.%s IS NOT NULL", etl_plan_key(delta->plan, i)->quoted);
	while (etl_sql_int64(psprintf("SELECT pg_catalog.max(n) FROM (SELECT s._etl_n AS n FROM %s AS s WHERE %s"
								  " AND s._etl_n > " INT64_FORMAT " ORDER BY 1 LIMIT %d) AS m",
								  table, is_null.data, low, REJECT_ROWS),
						 &high))
	{
		CHECK_FOR_INTERRUPTS();
		etl_reject_rows(
			delta, &reject,
			psprintf("%s AND s._etl_n > " INT64_FORMAT " AND s._etl_n <= " INT64_FORMAT, is_null.data, low, high));
		low = high;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* has_query_ordering says whether the types of the query allow to find the latest version before it is converted. */
static bool
has_query_ordering(const EtlPlan *plan)
{
	for (int i = 0; i < plan->n_key; i++)
		if (!OidIsValid(lookup_type_cache(etl_plan_key(plan, i)->type, TYPECACHE_LT_OPR)->lt_opr))
			return false;
	return true;
}

/* keep_latest copies the latest version of each key into table, numbered in key order. */
static int64
keep_latest(EtlDelta *delta, const char *from, const char *table)
{
	const EtlPlan *plan = delta->plan;
	bool is_distinct = has_query_ordering(plan);
	StringInfoData sql;
	int64 rows;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT pg_catalog.row_number() OVER () AS _etl_n, d.*"
					 " FROM (%s",
					 table, is_distinct ? etl_delta_select(plan, "s.", false) : "SELECT ");
	if (!is_distinct)
		etl_text_columns(&sql, plan, "s.");
	appendStringInfo(&sql, "%s FROM %s AS s WHERE true", sequence_columns(plan, "s.", ""), from);
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(&sql, " AND s.%s IS NOT NULL", etl_plan_key(plan, i)->quoted);
	appendStringInfo(&sql, " %s) AS d", is_distinct ? etl_delta_order(plan, "s.", false) : "");
	rows = (int64) etl_sql_exec(sql.data, SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("CREATE INDEX ON %s (_etl_n)", table), SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("ANALYZE %s (_etl_n)", table), SPI_OK_UTILITY);
	return rows;
}

/* store_piece stores a range of rows with the types of the target. */
static void
store_piece(void *arg, int64 low, int64 high)
{
	Salvage *salvage = arg;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", salvage->destination);
	etl_text_columns(&sql, salvage->delta->plan, "");
	appendStringInfo(&sql, "%s) SELECT ", salvage->extra);
	etl_text_columns(&sql, salvage->delta->plan, "");
	appendStringInfo(&sql, "%s FROM %s WHERE _etl_n >= " INT64_FORMAT " AND _etl_n <= " INT64_FORMAT " ORDER BY _etl_n",
					 salvage->extra, salvage->stage, low, high);
	salvage->last = etl_dml_run(sql.data).inserted;
}

/* accept_piece counts a range that was stored. */
static void
accept_piece(void *arg)
{
	Salvage *salvage = arg;

	salvage->delta->rows += salvage->last;
}

/* probe_value tries to store one value of one row. */
static void
probe_value(void *arg)
{
	Salvage *salvage = arg;

	(void) etl_dml_run(psprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE _etl_n = " INT64_FORMAT, salvage->probe,
								salvage->probe_column, salvage->probe_column, salvage->stage, salvage->probe_row));
}

/* find_column says which column of a row cannot be stored, for errors that do not tell; NULL: not found. */
static const char *
find_column(Salvage *salvage, int64 row)
{
	const EtlColumns *columns = &salvage->delta->plan->columns;

	salvage->probe_row = row;
	for (int i = 0; i < columns->n; i++)
	{
		if (etl_plan_is_same_type(&columns->column[i]))
			continue;
		salvage->probe_column = columns->column[i].quoted;
		if (etl_bisect_try(probe_value, salvage) != NULL)
			return columns->column[i].name;
	}
	return NULL;
}

/* reject_row puts a row aside that cannot be stored. */
static void
reject_row(void *arg, int64 row, const ErrorData *error)
{
	Salvage *salvage = arg;
	EtlReject reject = {salvage->stage, error->message, NULL, error->column_name};

	reject.sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	/* The message would name the temporary table. */
	if (error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION && error->column_name != NULL)
		reject.reason = psprintf("null value in column \"%s\", which is NOT NULL in the target", error->column_name);
	if (reject.column == NULL)
		reject.column = find_column(salvage, row);
	etl_reject_rows(salvage->delta, &reject, psprintf("s._etl_n = " INT64_FORMAT, row));
}

/* needs_second_pass says whether keys that differ in the query may be equal in the target. */
static bool
needs_second_pass(const EtlPlan *plan)
{
	for (int i = 0; i < plan->n_key; i++)
		if (!etl_plan_is_same_type(etl_plan_key(plan, i)) ||
			etl_plan_key(plan, i)->collation != etl_plan_key(plan, i)->target_collation)
			return true;
	return false;
}

/* store_rows stores rows 1 .. n of the stage in the delta. */
static void
store_rows(Salvage *salvage, int64 n)
{
	EtlDelta *delta = salvage->delta;
	const EtlPlan *plan = delta->plan;
	EtlBisect bisect = {store_piece, accept_piece, reject_row, salvage};

	etl_delta_create(plan, delta->table, true, "");
	salvage->destination = delta->table;
	salvage->extra = "";
	salvage->probe = etl_delta_name(delta->attempt, "probe");
	etl_delta_create(plan, salvage->probe, false, "");
	if (needs_second_pass(plan))
	{
		salvage->destination = etl_delta_name(delta->attempt, "typed");
		salvage->extra = sequence_columns(plan, "", "");
		etl_delta_create(plan, salvage->destination, true, sequence_columns(plan, "", " bigint"));
	}
	etl_bisect_run(&bisect, 1, n);
	if (salvage->destination != delta->table)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "INSERT INTO %s (", delta->table);
		etl_text_columns(&sql, plan, "");
		appendStringInfo(&sql, ") %s FROM %s AS s %s", etl_delta_select(plan, "s.", false), salvage->destination,
						 etl_delta_order(plan, "s.", false));
		delta->rows = etl_dml_run(sql.data).inserted;
		etl_delta_drop(salvage->destination);
	}
	etl_delta_drop(salvage->probe);
}

/* etl_salvage_fill fills the delta with the rows that can be stored. */
void
etl_salvage_fill(EtlDelta *delta)
{
	Salvage salvage = {.delta = delta};
	char *read = etl_delta_name(delta->attempt, "read");
	int64 rows;

	delta->rows = 0;
	rows = delta->read = read_query(delta, read);
	salvage.stage = read;
	if (delta->plan->n_key > 0)
	{
		for (int i = 0; i < delta->plan->n_key; i++)
			reject_without_key(delta, read, i);
		salvage.stage = etl_delta_name(delta->attempt, "latest");
		rows = keep_latest(delta, read, salvage.stage);
		etl_delta_drop(read);
	}
	store_rows(&salvage, rows);
	etl_delta_drop(salvage.stage);
}
