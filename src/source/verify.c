/*
 * verify.c
 *		reconcile => true: what was read against what the source counts, and what was appended against what was read.
 */
#include "postgres.h"

#include "catalog/watermark.h"
#include "errors.h"
#include "source/extract_run.h"
#include "utils/typcache.h"

/* differs compares two values of which each may be missing; one value may be written in several ways, as 1.0 and 1.00. */
static bool
differs(const EtlColumn *column, const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a != b;
	if (strcmp(a, b) == 0)
		return false;
	if (column == NULL || !OidIsValid(lookup_type_cache(column->type, TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo.fn_oid))
		return true;
	return etl_watermark_compare(column->type, a, b) != 0;
}

/* describe writes one side. */
static char *
describe(const EtlColumn *column, const EtlEdges *edges)
{
	if (column == NULL || edges->min == NULL)
		return psprintf(INT64_FORMAT " rows", edges->count);
	return psprintf(INT64_FORMAT " rows, \"%s\" from %s to %s", edges->count, column->name, edges->min,
					edges->max ? edges->max : "NULL");
}

/* etl_verify_batch compares count and ends. */
void
etl_verify_batch(const EtlReadRequest *request, const EtlColumn *column, const EtlEdges *got, const EtlEdges *expected)
{
	if (got->count == expected->count &&
		(column == NULL || (!differs(column, got->min, expected->min) && !differs(column, got->max, expected->max))))
		return;
	ereport(ERROR, (errcode(ERRCODE_ETL_MISMATCH),
					errmsg("what was read from source %s differs from what it counts", request->source->name),
					errdetail("Read: %s. Counted within the same bounds: %s.", describe(column, got),
							  describe(column, expected)),
					errhint("Nothing of the chunk was kept; the next attempt reads it again. A source whose rows depend"
							" on when they are asked for, such as a view with volatile functions, cannot be compared:"
							" reconcile => false.")));
}

/* etl_verify_appended compares a batch in the raw table with what the reader read. */
void
etl_verify_appended(const EtlExtract *extract, const EtlReadState *state, int64 appended, int64 skipped)
{
	int64 expected = state->rows - (extract->request.null_cursors ? 0 : state->null_cursors);

	if (appended + skipped == expected)
	{
		/* The query reader counts for itself: it cannot compare what comes from mysql_fdw. */
		if (extract->reader->routine != &etl_query_reader)
			etl_attempt_count(extract->attempt, "reconciled_rows", state->rows);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_ETL_MISMATCH),
			 errmsg("what was appended to raw table %s differs from what was read", extract->attempt->task->target),
			 errdetail("Read: " INT64_FORMAT " rows. Appended: " INT64_FORMAT ", there already: " INT64_FORMAT ".",
					   expected, appended, skipped),
			 errhint("Nothing of the chunk was kept; the next attempt reads it again.")));
}
