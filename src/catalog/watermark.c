/*
 * watermark.c
 *		etl.watermark: how far each extract has come. See watermark.h.
 *
 * Values are compared as their type, not as text: '9' is before '10'. The names of the types cannot be parameters of
 * one prepared statement, so the comparison is done here with the type's own ordering.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "catalog/watermark.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* compare_values orders two values of a type given as text. */
static int
compare_values(Oid type, const char *left, const char *right)
{
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
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
	result = DatumGetInt32(FunctionCall2Coll(&cache->cmp_proc_finfo, get_typcollation(type), a, b));
	AtEOXact_GUC(false, level);
	return result;
}

/* etl_watermark_get returns the watermark of a task, or NULL when there is none for a cursor of this type. */
char *
etl_watermark_get(int64 task_id, Oid type)
{
	static EtlStatement statement = {
		.sql = "SELECT value, type::oid AS type FROM etl.watermark WHERE task_id = $1",
		.nargs = 1,
		.argtype = {INT8OID},
	};
	Datum value[1] = {Int64GetDatum(task_id)};
	EtlScope scope;
	char *result = NULL;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		if (etl_row_oid(&row, "type") == type)
			result = etl_row_text(&row, "value");
	}
	etl_catalog_end(&scope);
	return result;
}

/* etl_watermark_advance moves the watermark of a task forward; its row is locked until the end of the transaction. */
void
etl_watermark_advance(int64 task_id, Oid type, const char *value, int64 run_id)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.watermark AS w (task_id, value, type, run_id, updated_at)"
			   " VALUES ($1, $2, $3, nullif($4, 0), $5) ON CONFLICT (task_id) DO UPDATE SET value = excluded.value,"
			   " type = excluded.type, run_id = excluded.run_id, updated_at = excluded.updated_at",
		.nargs = 5,
		.argtype = {INT8OID, TEXTOID, REGTYPEOID, INT8OID, TIMESTAMPTZOID},
	};
	char *old = etl_watermark_get(task_id, type);
	Datum arg[5];

	if (old != NULL && compare_values(type, old, value) >= 0)
		return;
	arg[0] = Int64GetDatum(task_id);
	arg[1] = CStringGetTextDatum(value);
	arg[2] = ObjectIdGetDatum(type);
	arg[3] = Int64GetDatum(run_id);
	arg[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	(void) etl_catalog_call(&statement, arg, NULL, SPI_OK_INSERT);
}
