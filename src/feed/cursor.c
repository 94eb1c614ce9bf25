/*
 * cursor.c
 *		The cursor of rows that come in any order. See cursor.h.
 *
 * A source that is asked for what is new may answer with more than that: rows outside of the bounds are left out here, so
 * that an extract appends the same rows whatever the source makes of its parameters.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "feed/cursor.h"
#include "source/value.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* read_value makes a value of the cursor's type. */
static Datum
read_value(const EtlCursor *cursor, const char *text)
{
	Oid input;
	Oid ioparam;

	getTypeInputInfo(cursor->column->type, &input, &ioparam);
	return OidInputFunctionCall(input, unconstify(char *, text), ioparam, -1);
}

/* etl_cursor_prepare compares text in collation C, as watermarks are. */
void
etl_cursor_prepare(EtlCursor *cursor, const EtlReadRequest *request, const char *highest)
{
	const char *name = request->task->cursor_column;

	memset(cursor, 0, sizeof(*cursor));
	cursor->context = request->context;
	cursor->null_cursors = request->null_cursors;
	cursor->column = name ? etl_relation_column(request->source, name) : NULL;
	if (cursor->column == NULL)
		return;
	cursor->compare = &lookup_type_cache(cursor->column->type, TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo;
	cursor->collation = OidIsValid(cursor->column->collation) ? C_COLLATION_OID : InvalidOid;
	cursor->has_lower = request->lower != NULL;
	cursor->has_below = request->below != NULL;
	if (cursor->has_lower)
		cursor->lower = read_value(cursor, request->lower);
	if (cursor->has_below)
		cursor->below = read_value(cursor, request->below);
	etl_held_prepare(&cursor->highest, cursor->column->type);
	if (highest)
		etl_held_keep(&cursor->highest, read_value(cursor, highest), false, cursor->context);
}

/* is_less compares two values. */
static bool
is_less(const EtlCursor *cursor, Datum left, Datum right)
{
	return DatumGetInt32(FunctionCall2Coll(cursor->compare, cursor->collation, left, right)) < 0;
}

/* etl_cursor_take counts what it leaves out. */
bool
etl_cursor_take(EtlCursor *cursor, const TupleTableSlot *slot)
{
	Datum value;

	if (cursor->column == NULL)
		return true;
	value = slot->tts_values[cursor->column->attnum - 1];
	if (slot->tts_isnull[cursor->column->attnum - 1] || !etl_value_is_finite(cursor->column->type, value))
	{
		cursor->nulls++;
		return cursor->null_cursors;
	}
	if ((cursor->has_lower && is_less(cursor, value, cursor->lower)) ||
		(cursor->has_below && !is_less(cursor, value, cursor->below)))
	{
		cursor->outside++;
		return false;
	}
	if (cursor->highest.isnull || is_less(cursor, cursor->highest.value, value))
		etl_held_keep(&cursor->highest, value, false, cursor->context);
	return true;
}

/* etl_cursor_highest prints. */
char *
etl_cursor_highest(const EtlCursor *cursor)
{
	return cursor->column == NULL || cursor->highest.isnull ? NULL : etl_held_print(&cursor->highest);
}
