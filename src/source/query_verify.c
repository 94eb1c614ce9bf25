/*
 * query_verify.c
 *		reconcile => true in the query reader: each batch is counted by the source in the snapshot in which it was read.
 *
 * Both statements see one snapshot: here the active one; a server behind postgres_fdw is in one REPEATABLE READ
 * transaction as long as the transaction here. mysql_fdw has no such thing, a batch of it is compared with its own
 * counts only (see query_reader.c).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "source/query_reader.h"
#include "source/stream.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

/* has_ends says whether min() and max() know a type, and the source orders it as this server does. */
static bool
has_ends(const EtlQueryReader *reader, Oid type)
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
			return true;
		case TEXTOID:
		case VARCHAROID:
			return !reader->foreign;
		default:
			return false;
	}
}

/* choose takes the first key column, or the cursor, if the page delivers it; at is its place in a row. */
static const EtlColumn *
choose(const EtlQueryReader *reader, int *at)
{
	const EtlPage *page = &reader->page;
	int after_map = page->map->n + (page->cursor ? 1 : 0);
	const EtlNames *key = &reader->base.request.task->primary_key;

	for (int i = 0; i < page->n_order; i++)
		if (strcmp(page->order[i]->name, key->name[0]) == 0)
		{
			*at = after_map + (page->deleted ? 1 : 0) + i;
			return has_ends(reader, page->order[i]->type) ? page->order[i] : NULL;
		}
	*at = after_map - 1;
	return page->cursor && has_ends(reader, page->cursor->type) ? page->cursor : NULL;
}

/* etl_query_verify_begin is called before a batch is read; what it keeps lives in the context of the batch. */
void
etl_query_verify_begin(EtlQueryReader *reader)
{
	EtlQueryCheck *check;

	reader->check = NULL;
	if (!reader->base.request.verify || reader->mysql)
		return;
	check = reader->check = palloc0(sizeof(EtlQueryCheck));
	check->page = reader->page;
	if (reader->page.last)
	{
		check->page.last = palloc(sizeof(char *) * reader->page.n_order);
		for (int i = 0; i < reader->page.n_order; i++)
			check->page.last[i] = pstrdup(reader->page.last[i]);
	}
	check->context = CurrentMemoryContext;
	check->column = choose(reader, &check->at);
	if (check->column)
	{
		etl_held_prepare(&check->min, check->column->type);
		etl_held_prepare(&check->max, check->column->type);
		check->compare = &lookup_type_cache(check->column->type, TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo;
	}
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* compare orders a value and one that is held. */
static int
compare(const EtlQueryCheck *check, Datum value, const EtlHeld *held)
{
	return DatumGetInt32(FunctionCall2Coll(check->compare, check->column->collation, value, held->value));
}

/* etl_query_verify_take looks at a row. */
void
etl_query_verify_take(EtlQueryCheck *check, TupleTableSlot *slot)
{
	Datum value;

	check->rows++;
	if (check->column == NULL || slot->tts_isnull[check->at])
		return;
	value = slot->tts_values[check->at];
	if (check->min.isnull || compare(check, value, &check->min) < 0)
		etl_held_keep(&check->min, value, false, check->context);
	if (check->max.isnull || compare(check, value, &check->max) > 0)
		etl_held_keep(&check->max, value, false, check->context);
}

/* Where the answer of the source goes. */
typedef struct Answer
{
	EtlEdges edges;
	MemoryContext context;
} Answer;

/* take_answer copies what the source counts. */
static void
take_answer(TupleTableSlot *slot, void *arg)
{
	Answer *answer = arg;
	MemoryContext old = MemoryContextSwitchTo(answer->context);

	slot_getallattrs(slot);
	answer->edges.count = DatumGetInt64(slot->tts_values[0]);
	if (slot->tts_tupleDescriptor->natts > 1)
	{
		answer->edges.min = slot->tts_isnull[1] ? NULL : TextDatumGetCString(slot->tts_values[1]);
		answer->edges.max = slot->tts_isnull[2] ? NULL : TextDatumGetCString(slot->tts_values[2]);
	}
	MemoryContextSwitchTo(old);
}

/* etl_query_verify_end asks the source about the rows from the batch's start to its last row, or to the end. */
void
etl_query_verify_end(EtlQueryReader *reader)
{
	EtlQueryCheck *check = reader->check;
	EtlEdges got = {0};
	Answer answer = {{0}, CurrentMemoryContext};

	if (check == NULL)
		return;
	reader->check = NULL;
	check->page.upto = reader->more ? reader->page.last : NULL;
	(void) etl_stream_active(etl_page_chunk_edges(&check->page, check->column), take_answer, &answer);
	PopActiveSnapshot();
	got.count = check->rows;
	if (check->column)
	{
		got.min = check->min.isnull ? NULL : etl_held_print(&check->min);
		got.max = check->max.isnull ? NULL : etl_held_print(&check->max);
	}
	etl_verify_batch(&reader->base.request, check->column, &got, &answer.edges);
	if (reader->base.attempt)
		etl_attempt_count(reader->base.attempt, "reconciled_rows", got.count);
}
