/*
 * rows.c
 *		What the postgres reader keeps of the rows of a batch. See rows.h.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "postgres/rows.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* collation_of returns the collation to compare with: text byte by byte, as the source is asked to. */
static Oid
collation_of(const EtlColumn *column)
{
	return OidIsValid(column->collation) ? C_COLLATION_OID : InvalidOid;
}

/* compare_function returns the comparison function of a type, or one with an invalid OID. */
static FmgrInfo *
compare_function(Oid type)
{
	return &lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo;
}

/* has_ends says whether min and max of a type mean the same on both servers. */
static bool
has_ends(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case UUIDOID:
		case TEXTOID:
		case VARCHAROID:
			return true;
		default:
			return false;
	}
}

/* init_verify chooses the column whose ends are compared: the first of the key, else the cursor. */
static void
init_verify(EtlPgRows *rows)
{
	const EtlReadRequest *request = rows->request;
	const EtlNames *key = &request->task->primary_key;
	const EtlColumn *column = key->n > 0 ? etl_relation_column(request->source, key->name[0]) : rows->cursor;

	if (!request->verify || column == NULL || !has_ends(column->type))
		return;
	rows->verify = column;
	rows->verify_compare = compare_function(column->type);
	etl_held_prepare(&rows->min, column->type);
	etl_held_prepare(&rows->max, column->type);
}

/* etl_pg_rows_init prepares. */
void
etl_pg_rows_init(EtlPgRows *rows, const EtlReadRequest *request)
{
	rows->request = request;
	rows->highest.isnull = true;
	if (request->task->cursor_column)
	{
		rows->cursor = etl_relation_column(request->source, request->task->cursor_column);
		rows->compare = compare_function(rows->cursor->type);
		etl_held_prepare(&rows->highest, rows->cursor->type);
	}
	init_verify(rows);
}

/* etl_pg_rows_order makes room for the order values. */
void
etl_pg_rows_order(EtlPgRows *rows, const int *order, int n)
{
	rows->order = MemoryContextAlloc(rows->request->context, sizeof(EtlColumn *) * Max(n, 1));
	rows->held = MemoryContextAllocZero(rows->request->context, sizeof(EtlHeld) * Max(n, 1));
	rows->n_order = n;
	for (int i = 0; i < n; i++)
	{
		rows->order[i] = &rows->request->source->column[order[i]];
		etl_held_prepare(&rows->held[i], rows->order[i]->type);
	}
}

/* etl_pg_rows_begin resets what belongs to a batch. */
void
etl_pg_rows_begin(EtlPgRows *rows)
{
	rows->rows = 0;
	rows->null_cursors = 0;
	rows->min.isnull = true;
	rows->max.isnull = true;
}

/* etl_pg_rows_refuse_null reports a key column that is NULL: the row could not be found again after a cut. */
void
etl_pg_rows_refuse_null(const EtlPgRows *rows, const EtlColumn *column)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_NOT_NULL_VIOLATION),
		 errmsg("column \"%s\" of the primary key of source %s is NULL", column->name, rows->request->source->name),
		 errhint("Name columns without NULLs as primary_key, or leave primary_key out: the source is then read in one"
				 " piece.")));
}

/* compare compares two values of a column; for most cursors and keys that is comparing two integers. */
static inline int
compare(FmgrInfo *function, const EtlColumn *column, Datum a, Datum b)
{
	if (column->type == INT8OID || column->type == TIMESTAMPOID || column->type == TIMESTAMPTZOID)
	{
		int64 x = DatumGetInt64(a);
		int64 y = DatumGetInt64(b);

		return x < y ? -1 : x > y;
	}
	return DatumGetInt32(FunctionCall2Coll(function, collation_of(column), a, b));
}

/*
 * take_cursor keeps the highest cursor value and says whether the row is to be delivered. A value that nothing can ever
 * be above (infinity, NaN) is treated like NULL: it is no watermark, and an extract with a lower bound leaves it out.
 */
static bool
take_cursor(EtlPgRows *rows, Datum value, bool isnull)
{
	if (isnull || !etl_value_is_finite(rows->cursor->type, value))
	{
		rows->null_cursors++;
		return rows->request->null_cursors;
	}
	if (rows->highest.isnull || compare(rows->compare, rows->cursor, value, rows->highest.value) > 0)
		etl_held_keep(&rows->highest, value, false, rows->request->context);
	return true;
}

/* take_ends keeps the lowest and the highest value of the column that is compared. */
static void
take_ends(EtlPgRows *rows, TupleTableSlot *slot)
{
	int i = rows->verify->attnum - 1;
	Datum value = slot->tts_values[i];

	if (slot->tts_isnull[i])
		return;
	if (rows->min.isnull || compare(rows->verify_compare, rows->verify, value, rows->min.value) < 0)
		etl_held_keep(&rows->min, value, false, rows->request->context);
	if (rows->max.isnull || compare(rows->verify_compare, rows->verify, value, rows->max.value) > 0)
		etl_held_keep(&rows->max, value, false, rows->request->context);
}

/* etl_pg_rows_take is called for each row within the cut. */
bool
etl_pg_rows_take(EtlPgRows *rows, TupleTableSlot *slot)
{
	rows->rows++;
	for (int i = 0; i < rows->n_order; i++)
	{
		int index = rows->order[i]->attnum - 1;

		if (unlikely(slot->tts_isnull[index]))
			etl_pg_rows_refuse_null(rows, rows->order[i]);
		etl_held_keep(&rows->held[i], slot->tts_values[index], false, rows->request->context);
	}
	if (rows->verify)
		take_ends(rows, slot);
	if (rows->cursor == NULL)
		return true;
	return take_cursor(rows, slot->tts_values[rows->cursor->attnum - 1], slot->tts_isnull[rows->cursor->attnum - 1]);
}

/* same_key says whether a row has the order values of the last row taken. */
static bool
same_key(const EtlPgRows *rows, TupleTableSlot *slot)
{
	for (int i = 0; i < rows->n_order; i++)
	{
		const EtlColumn *column = rows->order[i];
		TypeCacheEntry *cache = lookup_type_cache(column->type, TYPECACHE_EQ_OPR_FINFO);

		if (slot->tts_isnull[column->attnum - 1] || rows->held[i].isnull || !OidIsValid(cache->eq_opr_finfo.fn_oid) ||
			!DatumGetBool(FunctionCall2Coll(&cache->eq_opr_finfo, collation_of(column),
											slot->tts_values[column->attnum - 1], rows->held[i].value)))
			return false;
	}
	return true;
}

/* etl_pg_rows_next looks at the row behind the cut. */
void
etl_pg_rows_next(EtlPgRows *rows, TupleTableSlot *slot)
{
	if (rows->n_order == 0 || !same_key(rows, slot))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_UNIQUE_VIOLATION),
		 errmsg("primary_key does not identify a row of source %s", rows->request->source->name),
		 errdetail("Two rows have the same value (%s) in column \"%s\" and equal values in all columns of the key.",
				   etl_held_print(&rows->held[rows->n_order - 1]), rows->order[rows->n_order - 1]->name),
		 errhint("Name all columns of the key as primary_key, or leave primary_key out: the source is then read in one"
				 " piece.")));
}

/* etl_pg_rows_print_last prints. */
void
etl_pg_rows_print_last(const EtlPgRows *rows, char **texts)
{
	MemoryContext old = MemoryContextSwitchTo(rows->request->context);

	for (int i = 0; i < rows->n_order; i++)
	{
		if (texts[i])
			pfree(texts[i]);
		texts[i] = etl_held_print(&rows->held[i]);
	}
	MemoryContextSwitchTo(old);
}

/*
 * end_text prints an end. Where the source's value is equal, its text is taken: 1.0 and 1.00 are one number, and either
 * may have been found first.
 */
static char *
end_text(EtlPgRows *rows, const EtlHeld *end, char *expected)
{
	Oid input;
	Oid param;

	if (end->isnull)
		return NULL;
	if (expected)
	{
		getTypeInputInfo(rows->verify->type, &input, &param);
		if (compare(rows->verify_compare, rows->verify, end->value, OidInputFunctionCall(input, expected, param, -1)) ==
			0)
			return expected;
	}
	return etl_held_print(end);
}

/* etl_pg_rows_verify compares. */
void
etl_pg_rows_verify(EtlPgRows *rows, char *const *answer)
{
	EtlEdges expected = {.count = strtoll(answer[0], NULL, 10)};
	EtlEdges got = {.count = rows->rows};

	if (rows->verify)
	{
		expected.min = answer[1];
		expected.max = answer[2];
		got.min = end_text(rows, &rows->min, expected.min);
		got.max = end_text(rows, &rows->max, expected.max);
	}
	etl_verify_batch(rows->request, rows->verify, &got, &expected);
}
