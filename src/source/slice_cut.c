/*
 * slice_cut.c
 *		Cuts a source into ranges of its first key column. See whole.h.
 *
 * Ranges are equal in values, not in rows: with gaps in the key some have less to read. Integers, dates and timestamps are
 * numbers inside; of a uuid the first half is.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "source/value.h"
#include "source/whole.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* call_input reads a timestamp with a function that takes a typmod. */
static int64
call_input(PGFunction input, const char *text)
{
	return DatumGetInt64(
		DirectFunctionCall3(input, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* to_number returns a value's place in the order of its type; the order of unsigned numbers. False: it has none. */
static bool
to_number(Oid type, const char *text, uint64 *number)
{
	int64 value;

	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			value = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
			break;
		case DATEOID:
			value = DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(text)));
			if (DATE_NOT_FINITE((DateADT) value))
				return false;
			break;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			value = call_input(type == TIMESTAMPOID ? timestamp_in : timestamptz_in, text);
			if (TIMESTAMP_NOT_FINITE(value))
				return false;
			break;
		case UUIDOID:
			*number = (strtoull(psprintf("%.8s", text), NULL, 16) << 32) |
					  (strtoull(psprintf("%.4s%.4s", text + 9, text + 14), NULL, 16) & 0xFFFFFFFF);
			return strlen(text) == 36;
		default:
			return false;
	}
	*number = (uint64) value ^ (UINT64CONST(1) << 63);
	return true;
}

/* to_text is the way back; a uuid is the last one of its first half. */
static char *
to_text(Oid type, uint64 number)
{
	int64 value = (int64) (number ^ (UINT64CONST(1) << 63));

	switch (type)
	{
		case DATEOID:
			return DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum((DateADT) value)));
		case TIMESTAMPOID:
			return DatumGetCString(DirectFunctionCall1(timestamp_out, TimestampGetDatum(value)));
		case TIMESTAMPTZOID:
			return DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(value)));
		case UUIDOID:
			return psprintf("%08x-%04x-%04x-ffff-ffffffffffff", (uint32) (number >> 32),
							(uint32) (number >> 16) & 0xFFFF, (uint32) number & 0xFFFF);
		default:
			return psprintf(INT64_FORMAT, value);
	}
}

/* cut computes the ends of all ranges but the last one; returns how many ranges there are. */
static int
cut(Oid type, uint64 min, uint64 max, int wanted, char **until)
{
	uint64 span = max - min;
	int n = span < (uint64) wanted ? (int) span + 1 : wanted;
	int level = NewGUCNestLevel();

	etl_value_pin_settings();
	for (int i = 0; i + 1 < n; i++)
		until[i] = to_text(type, min + span / n * (i + 1));
	AtEOXact_GUC(false, level);
	return n;
}

/* etl_slice_cut does not cut what is one chunk anyway. */
char **
etl_slice_cut(EtlExtract *extract, int *n)
{
	const EtlTask *task = extract->attempt->task;
	const EtlColumn *key = etl_relation_column(extract->source, task->primary_key.name[0]);
	EtlEdges edges = {0};
	MemoryContext old;
	char **until;
	uint64 min;
	uint64 max;

	*n = 1;
	etl_whole_edges(extract, key, NULL, &edges);
	if (edges.min == NULL || edges.count <= extract->request.max_rows)
		return NULL;
	if (!to_number(key->type, edges.min, &min) || !to_number(key->type, edges.max, &max) || max < min)
	{
		etl_attempt_note(extract->attempt, "Not sliced: ranges of column \"%s\" of type %s cannot be computed.",
						 key->name, format_type_be(key->type));
		return NULL;
	}
	old = MemoryContextSwitchTo(extract->context);
	until = palloc0(sizeof(char *) * task->slices);
	*n = cut(key->type, min, max, task->slices, until);
	MemoryContextSwitchTo(old);
	return until;
}
