/*
 * deletes_compare.c
 *		deletes => 'compare': rows of the raw table whose key the source no longer has. See docs/deletes.md.
 *
 * The keys are read after the rows, so a key that the raw table has and the source lacks has gone. Such rows are appended
 * once more with their last known values and _etl_op = 'd', in a batch of their own. A row that was marked and is in
 * the source again without having been read (its cursor is as old as it was) is appended as it was before.
 *
 * The raw table is read without sorting it: only what an anti-join with the keys leaves is, which is little.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "catalog/spi.h"
#include "errors.h"
#include "fault.h"
#include "observe/progress.h"
#include "source/deletes.h"
#include "source/deletes_keys.h"
#include "source/partition.h"
#include "source/raw_marker.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* Memory for the join of the keys with the raw table, in kB. */
#define JOIN_MEMORY "65536"

typedef struct Compare
{
	EtlExtract *extract;
	const EtlTask *task;
	char *keys;		/* table of the source's keys */
	char *gone;		/* table of the last versions of rows that the source lacks */
	char *back;		/* the same for rows that are marked and that it has */
	char *columns;	/* of the raw table, but for batch, time and op */
	char *match;	/* k.key = r.key */
	char *marked;	/* d.key = r.key */
	char *key_list; /* r.key, ... */
	char *not_null; /* r.key IS NOT NULL AND ... */
	int64 n_keys;	/* in the source */
	int64 n_gone;
	int64 n_back;
} Compare;

/* append_equal appends left.key = r.key with the equality of the raw column's type. */
static void
append_equal(StringInfo sql, const Compare *compare, const char *left, const char *name)
{
	Oid raw = compare->extract->raw;
	Oid type = getBaseType(get_atttype(raw, get_attnum(raw, name)));
	Oid equal = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(equal));
	const char *column = quote_identifier(name);
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "type %u has no equality operator", type);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(sql, "%s%s.%s OPERATOR(%s.%s) r.%s", sql->len ? " AND " : "", left, column,
					 quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname), column);
	ReleaseSysCache(tuple);
}

/* list_keys fills in the texts that name the key columns. */
static void
list_keys(Compare *compare)
{
	const EtlNames *key = &compare->task->primary_key;
	StringInfoData match;
	StringInfoData marked;
	StringInfoData list;
	StringInfoData not_null;

	initStringInfo(&match);
	initStringInfo(&marked);
	initStringInfo(&list);
	initStringInfo(&not_null);
	for (int i = 0; i < key->n; i++)
	{
		append_equal(&match, compare, "k", key->name[i]);
		append_equal(&marked, compare, "d", key->name[i]);
		appendStringInfo(&list, "%sr.%s", i > 0 ? ", " : "", quote_identifier(key->name[i]));
		appendStringInfo(&not_null, "r.%s IS NOT NULL AND ", quote_identifier(key->name[i]));
	}
	compare->match = match.data;
	compare->marked = marked.data;
	compare->key_list = list.data;
	compare->not_null = not_null.data;
}

/* create_versions creates a table of the last versions of the rows that meet condition. */
static int64
create_versions(const Compare *compare, const char *table, const char *condition, const char *last)
{
	int level = etl_attempt_author_path(compare->task);
	int64 n;

	etl_value_pin_settings();
	(void) set_config_option("work_mem", JOIN_MEMORY, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	n = (int64) etl_sql_exec(
		psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT %s FROM (SELECT DISTINCT ON (%s) r.* FROM %s AS r"
				 " WHERE %s%s ORDER BY %s, r." ETL_RAW_BATCH " DESC, r.ctid DESC) AS %s WHERE %s",
				 table, compare->columns, compare->key_list, compare->task->target, compare->not_null, condition,
				 compare->key_list, compare->extract->source->alias, last),
		SPI_OK_UTILITY);
	AtEOXact_GUC(true, level);
	return n;
}

/* find_gone collects the rows that are not marked, within the scope, and no longer in the source. */
static void
find_gone(Compare *compare)
{
	char *scope = etl_deletes_scope(compare->task);

	compare->n_gone = create_versions(
		compare, compare->gone, psprintf("NOT EXISTS (SELECT 1 FROM %s AS k WHERE %s)", compare->keys, compare->match),
		psprintf(ETL_RAW_OP " <> 'd'%s%s", scope ? " AND " : "", scope ? scope : ""));
}

/* find_back collects the rows that are marked and in the source. */
static void
find_back(Compare *compare)
{
	compare->n_back = create_versions(compare, compare->back,
									  psprintf("EXISTS (SELECT 1 FROM %s AS d WHERE d." ETL_RAW_OP
											   " = 'd' AND %s) AND EXISTS (SELECT 1"
											   " FROM %s AS k WHERE %s)",
											   compare->task->target, compare->marked, compare->keys, compare->match),
									  ETL_RAW_OP " = 'd'");
}

/* check_empty refuses to believe that a source has lost all of its rows. */
static void
check_empty(const Compare *compare)
{
	if (compare->n_keys > 0 || compare->n_gone == 0 || compare->task->max_delete_pct >= 100)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_ETL_DELETES_REFUSED),
		 errmsg("source %s has no rows to compare, but raw table %s has " INT64_FORMAT, compare->extract->source->name,
				compare->task->target, compare->n_gone),
		 errdetail("All of them would be marked as deleted. None was; the rows that were read are kept."),
		 errhint(
			 "Check the source%s. If it is really empty, set max_delete_pct => 100 with etl.alter_task for one run.",
			 compare->task->filter || compare->task->delete_scope ? ", filter and delete_scope" : "")));
}

/* check_share refuses more deletes than the task allows. Without max_delete_pct a few rows are always allowed. */
static void
check_share(const Compare *compare)
{
	bool is_given = compare->task->max_delete_pct >= 0;
	double limit = is_given ? compare->task->max_delete_pct : ETL_DELETES_PCT;
	int64 compared = compare->n_keys + compare->n_gone;

	if ((!is_given && compare->n_gone <= ETL_DELETES_ROWS) || compare->n_gone * 100.0 <= limit * compared)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_ETL_DELETES_REFUSED),
		 errmsg(INT64_FORMAT " of " INT64_FORMAT
							 " rows of source %s seem to be deleted, more than max_delete_pct allows",
				compare->n_gone, compared, compare->extract->source->name),
		 errdetail("%.1f %% are gone, %g %% are allowed. None was marked; the rows that were read are kept.",
				   compare->n_gone * 100.0 / compared, limit),
		 errhint("Check that the source shows all of its rows. If they are really deleted, raise max_delete_pct with"
				 " etl.alter_task for one run.")));
}

/* append appends the rows of a table as a part of the batch. */
static void
append(const Compare *compare, EtlBatch *batch, const char *table, char op)
{
	int64 bytes = 0;

	(void) etl_sql_int64(
		psprintf("SELECT coalesce(sum(pg_catalog.pg_column_size(g.*)), 0)::pg_catalog.int8 FROM %s AS g", table),
		&bytes);
	batch->byte_count += bytes;
	(void) etl_raw_marker_append(batch, compare->columns, table, op);
}

/* append_markers writes the batch. */
static void
append_markers(const Compare *compare)
{
	EtlAttempt *attempt = compare->extract->attempt;
	EtlBatch batch;

	if (compare->n_gone == 0 && compare->n_back == 0)
		return;
	etl_extract_begin_batch(compare->extract, &batch);
	batch.cursor_from = NULL;
	if (compare->n_gone > 0)
		append(compare, &batch, compare->gone, 'd');
	if (compare->n_back > 0)
		append(compare, &batch, compare->back, 'u');
	etl_batch_insert(&batch);
	etl_raw_sink_summarize(compare->extract->raw, batch.loaded_at, batch.row_count);
	attempt->counts.deleted += compare->n_gone;
	attempt->counts.inserted += compare->n_back;
	attempt->counts.bytes += batch.byte_count;
	etl_attempt_count(attempt, "deletes", compare->n_gone);
	etl_attempt_count(attempt, "undeleted", compare->n_back);
}

/* begin prepares names and texts. */
static void
begin(Compare *compare, EtlExtract *extract)
{
	int64 id = extract->attempt->task_run_id;

	memset(compare, 0, sizeof(*compare));
	compare->extract = extract;
	compare->task = extract->attempt->task;
	compare->keys = psprintf("pg_temp.etl_keys_" INT64_FORMAT, id);
	compare->gone = psprintf("pg_temp.etl_gone_" INT64_FORMAT, id);
	compare->back = psprintf("pg_temp.etl_back_" INT64_FORMAT, id);
	compare->columns = etl_raw_marker_columns(extract->raw);
	list_keys(compare);
}

/* etl_deletes_compare is the last part of an attempt; not in a backfill, whose rows say nothing about the others. */
void
etl_deletes_compare(EtlExtract *extract)
{
	EtlAttempt *attempt = extract->attempt;
	MemoryContext old;
	Compare compare;

	if (!etl_deletes_is_compare(attempt->task) || attempt->is_backfill)
		return;
	etl_progress_step(ETL_STEP_COMPARE);
	etl_attempt_step(attempt);
	old = MemoryContextSwitchTo(extract->context);
	begin(&compare, extract);
	compare.n_keys = etl_deletes_read_keys(extract, compare.keys);
	ETL_FAULT("keys_read");
	if (etl_partition_ensure(extract->raw))
		etl_attempt_step(attempt);
	find_gone(&compare);
	check_empty(&compare);
	check_share(&compare);
	find_back(&compare);
	append_markers(&compare);
	(void) etl_sql_exec(psprintf("DROP TABLE %s, %s, %s", compare.keys, compare.gone, compare.back), SPI_OK_UTILITY);
	MemoryContextSwitchTo(old);
}
