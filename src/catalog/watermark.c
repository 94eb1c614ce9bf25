/*
 * watermark.c
 *		etl.watermark: how far each extract has come. See watermark.h.
 *
 * Values are compared as their type, not as text: '9' is before '10'. The names of the types cannot be parameters of
 * one prepared statement, so the comparison is done here with the type's own ordering.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "catalog/watermark.h"
#include "catalog/watermark_history.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* etl_watermark_compare compares text in collation C on this server as on the source. */
int
etl_watermark_compare(Oid type, const char *left, const char *right)
{
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
	Oid collation = OidIsValid(get_typcollation(type)) ? C_COLLATION_OID : InvalidOid;
	int level = NewGUCNestLevel();
	Oid input;
	Oid ioparam;
	Datum a;
	Datum b;
	int result;

	if (!OidIsValid(cache->cmp_proc_finfo.fn_oid))
		elog(ERROR, "type %u of a watermark has no ordering", type);
	(void) set_config_option("timezone", "UTC", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("datestyle", "ISO, YMD", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	getTypeInputInfo(type, &input, &ioparam);
	a = OidInputFunctionCall(input, unconstify(char *, left), ioparam, -1);
	b = OidInputFunctionCall(input, unconstify(char *, right), ioparam, -1);
	result = DatumGetInt32(FunctionCall2Coll(&cache->cmp_proc_finfo, collation, a, b));
	AtEOXact_GUC(false, level);
	return result;
}

/* etl_watermark_get returns the watermark of a task, or NULLs when there is none for a cursor of this type. */
EtlWatermark
etl_watermark_get(int64 task_id, Oid type)
{
	static EtlStatement statement = {
		.sql = "SELECT value, reached, type::oid AS type FROM etl.watermark WHERE task_id = $1",
		.nargs = 1,
		.argtype = {INT8OID},
	};
	Datum value[1] = {Int64GetDatum(task_id)};
	EtlScope scope;
	EtlWatermark result = {NULL, NULL};

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		if (etl_row_oid(&row, "type") == type)
		{
			result.value = etl_row_text(&row, "value");
			result.reached = etl_row_text(&row, "reached");
		}
	}
	etl_catalog_end(&scope);
	return result;
}

/* store writes the row; it is locked until the end of the transaction. run_id 0: no run. */
static void
store(int64 task_id, int64 run_id, Oid type, const char *value, const char *reached)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.watermark AS w (task_id, value, reached, type, run_id, updated_at)"
			   " VALUES ($1, $2, $3, $4, nullif($5, 0), $6) ON CONFLICT (task_id) DO UPDATE SET value = excluded.value,"
			   " reached = excluded.reached, type = excluded.type, run_id = excluded.run_id,"
			   " updated_at = excluded.updated_at",
		.nargs = 6,
		.argtype = {INT8OID, TEXTOID, TEXTOID, REGTYPEOID, INT8OID, TIMESTAMPTZOID},
	};
	Datum arg[6];
	char null[] = "      ";

	arg[0] = Int64GetDatum(task_id);
	arg[1] = etl_arg_text(value, &null[1]);
	arg[2] = etl_arg_text(reached, &null[2]);
	arg[3] = ObjectIdGetDatum(type);
	arg[4] = Int64GetDatum(run_id);
	arg[5] = TimestampTzGetDatum(GetCurrentTimestamp());
	(void) etl_catalog_call(&statement, arg, null, SPI_OK_INSERT);
}

/* higher returns the higher of two values of which each may be missing. */
static const char *
higher(Oid type, const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a ? a : b;
	return etl_watermark_compare(type, a, b) >= 0 ? a : b;
}

/* etl_watermark_advance moves what is higher. */
void
etl_watermark_advance(const EtlAttempt *attempt, Oid type, const char *value, const char *reached)
{
	EtlWatermark old = etl_watermark_get(attempt->task->task_id, type);
	EtlWatermarkMove move = {.task_id = attempt->task->task_id,
							 .run_id = attempt->run_id,
							 .task_run_id = attempt->task_run_id,
							 .moved_by = attempt->task->owner,
							 .type = type,
							 .from = old.value,
							 .to = higher(type, old.value, value),
							 .reason = "extract"};
	const char *new_reached = higher(type, old.reached, reached);

	if (move.to == old.value && new_reached == old.reached)
		return;
	store(move.task_id, move.run_id, type, move.to, new_reached);
	if (move.to != old.value)
		etl_watermark_history_insert(&move);
}

/* etl_watermark_set leaves reached: the raw table has what it has. */
void
etl_watermark_set(int64 task_id, Oid type, const char *value, Oid role, const char *reason)
{
	EtlWatermark old = etl_watermark_get(task_id, type);
	EtlWatermarkMove move = {
		.task_id = task_id, .moved_by = role, .type = type, .from = old.value, .to = value, .reason = reason};

	store(task_id, 0, type, value, old.reached ? old.reached : old.value);
	etl_watermark_history_insert(&move);
}

/* etl_watermark_forget writes down what was forgotten. */
void
etl_watermark_forget(int64 task_id, Oid role, const char *reason)
{
	static EtlStatement statement = {
		.sql = "DELETE FROM etl.watermark WHERE task_id = $1 RETURNING value, type::oid AS type",
		.nargs = 1,
		.argtype = {INT8OID},
	};
	EtlWatermarkMove move = {.task_id = task_id, .moved_by = role, .reason = reason};
	Datum value = Int64GetDatum(task_id);
	EtlScope scope;
	bool found;

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&statement, &value, NULL, SPI_OK_DELETE_RETURNING) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		move.from = etl_row_text(&row, "value");
		move.type = etl_row_oid(&row, "type");
	}
	etl_catalog_end(&scope);
	if (found && move.from)
		etl_watermark_history_insert(&move);
}

/* etl_watermark_retype follows a cursor column whose values are now of a wider type. */
void
etl_watermark_retype(int64 task_id, Oid type)
{
	static EtlStatement statement = {
		.sql = "UPDATE etl.watermark SET type = $2 WHERE task_id = $1 AND type <> $2",
		.nargs = 2,
		.argtype = {INT8OID, REGTYPEOID},
	};
	Datum value[2] = {Int64GetDatum(task_id), ObjectIdGetDatum(type)};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_UPDATE);
}
