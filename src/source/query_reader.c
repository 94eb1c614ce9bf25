/*
 * query_reader.c
 *		The reader for everything that can be SELECTed from: foreign tables of any wrapper, tables, views.
 *
 * With a primary key a source is read in pages, ordered by cursor and key; each page is a batch. Without one, or where
 * the order could not be trusted or would have to be made here (see query_plan.c), it is read in one piece.
 *
 * A page asks for one row more than it takes: so it knows whether there is a next page, and that the declared primary
 * key really tells the rows on both sides of the cut apart. Rows whose cursor is NULL are read by extracts that have no
 * lower bound (the first one and full refreshes), after all others; so are those whose cursor is infinite.
 *
 * mysql_fdw ends a scan without an error when its connection dies or when a value is too long for its buffer. A page
 * that comes back short is believed only when a fresh count(*) of what is behind its last row says 0; a read in one
 * piece when it gave as many rows as count(*) did just before or just after. An upper bound taken at the start keeps a
 * busy source from growing faster than it is read.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "errors.h"
#include "miscadmin.h"
#include "source/plan_probe.h"
#include "source/query_reader.h"
#include "source/stream.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
#include "worker/attempt.h"

/* mysql_fdw holds a whole result in memory when a column is text: bytes that a page may take there. */
#define MYSQL_RESULT_BYTES (64 * 1024 * 1024)
#define MYSQL_FIRST_ROWS 10000

/* query_open starts a read. */
static EtlReader *
query_open(const EtlReadRequest *request, const char **why_not)
{
	MemoryContext old = MemoryContextSwitchTo(request->context);
	EtlQueryReader *reader = palloc0(sizeof(EtlQueryReader));

	reader->base.routine = &etl_query_reader;
	reader->base.request = *request;
	reader->highest.isnull = true;
	reader->scratch = AllocSetContextCreate(request->context, "etl query reader", ALLOCSET_DEFAULT_SIZES);
	etl_query_plan(reader);
	MemoryContextSwitchTo(old);
	return &reader->base;
}

/* refuse_null_key reports a key column that is NULL: the row could not be found again after a cut. */
static void
refuse_null_key(EtlQueryReader *reader, const EtlColumn *column)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_NOT_NULL_VIOLATION),
		 errmsg("column \"%s\" of the primary key of source %s is NULL", column->name, reader->page.source->name),
		 errhint("Name columns without NULLs as primary_key, or leave primary_key out: the source is then read in one"
				 " piece.")));
}

/* same_key says whether the row in the slot has the order values of the last row taken. */
static bool
same_key(EtlQueryReader *reader, TupleTableSlot *slot, int first)
{
	for (int i = 0; i < reader->page.n_order; i++)
	{
		EtlHeld *held = &reader->held[i];
		Oid type = reader->page.order[i]->type;
		TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_EQ_OPR_FINFO);

		if (slot->tts_isnull[first + i] || held->isnull || !OidIsValid(cache->eq_opr_finfo.fn_oid) ||
			!DatumGetBool(FunctionCall2Coll(&cache->eq_opr_finfo, reader->page.order[i]->collation,
											slot->tts_values[first + i], held->value)))
			return false;
	}
	return true;
}

/* see_next looks at the row behind the cut. */
static void
see_next(EtlQueryReader *reader, TupleTableSlot *slot, int first)
{
	reader->more = true;
	if (!same_key(reader, slot, first))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_UNIQUE_VIOLATION),
		 errmsg("primary_key does not identify a row of source %s", reader->page.source->name),
		 errdetail("Two rows have the same value (%s) in column \"%s\" and equal values in all columns of the key.",
				   etl_held_print(&reader->held[reader->page.n_order - 1]),
				   reader->page.order[reader->page.n_order - 1]->name),
		 errhint("Name all columns of the key as primary_key, or leave primary_key out: the source is then read in one"
				 " piece.")));
}

/*
 * take_cursor keeps the highest cursor value and says whether the row is to be delivered. A value that nothing can ever
 * be above (infinity, NaN) is treated like NULL: it is no watermark, and an extract with a lower bound leaves it out.
 */
static bool
take_cursor(EtlQueryReader *reader, Datum value, bool isnull)
{
	const EtlColumn *cursor = reader->page.cursor;

	if (isnull || !etl_value_is_finite(cursor->type, value))
	{
		reader->null_cursors++;
		return reader->base.request.null_cursors;
	}
	if (reader->highest.isnull ||
		DatumGetInt32(FunctionCall2Coll(reader->compare, OidIsValid(cursor->collation) ? C_COLLATION_OID : InvalidOid,
										value, reader->highest.value)) > 0)
		etl_held_keep(&reader->highest, value, false, reader->base.request.context);
	return true;
}

/* row_width estimates what a row takes in the result that mysql_fdw holds. */
static int64
row_width(const EtlQueryReader *reader, TupleTableSlot *slot)
{
	int64 width = 0;

	for (int i = 0; i < reader->page.map->n; i++)
	{
		Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, i);

		width += 32;
		if (!slot->tts_isnull[i] && att->attlen == -1)
			width += VARSIZE_ANY(DatumGetPointer(slot->tts_values[i]));
	}
	return width;
}

/* take_row is called for each row of the page. */
static void
take_row(TupleTableSlot *slot, void *arg)
{
	EtlQueryReader *reader = arg;
	EtlPage *page = &reader->page;
	int after_map = page->map->n + (page->cursor ? 1 : 0);
	int first = after_map + (page->deleted ? 1 : 0);
	bool wanted = true;

	slot_getallattrs(slot);
	if (page->limit > 0 && reader->rows + 1 == page->limit)
	{
		see_next(reader, slot, first);
		return;
	}
	for (int i = 0; i < page->n_order; i++)
	{
		if (slot->tts_isnull[first + i])
			refuse_null_key(reader, page->order[i]);
		etl_held_keep(&reader->held[i], slot->tts_values[first + i], false, reader->base.request.context);
	}
	if (page->cursor && !take_cursor(reader, slot->tts_values[after_map - 1], slot->tts_isnull[after_map - 1]))
		wanted = false;
	if (reader->mysql_stores)
		reader->bytes += row_width(reader, slot);
	reader->rows++;
	if (reader->check)
		etl_query_verify_take(reader->check, slot);
	if (wanted)
		reader->sink->put(reader->sink, slot, page->deleted && DatumGetBool(slot->tts_values[after_map]));
}

/* count_rows asks the source how many rows lie within the page's bounds. */
static int64
count_rows(EtlQueryReader *reader)
{
	int64 n;

	if (!etl_sql_int64(etl_page_count(&reader->page), &n))
		ereport(ERROR, (errcode(ERRCODE_ETL_SHORT_READ),
						errmsg("source %s did not answer how many rows it has", reader->page.source->name),
						errdetail("mysql_fdw returned no row for count(*): the connection was lost."),
						errhint("The next attempt goes on from the last committed batch.")));
	return n;
}

/* refuse_short reports a scan that ended before its end. */
static void
refuse_short(EtlQueryReader *reader, int64 got, int64 expected)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_ETL_SHORT_READ),
		 errmsg("source %s returned fewer rows than it has", reader->page.source->name),
		 errdetail("Rows read: %lld; rows that count(*) finds within the same bounds: %lld.", (long long) got,
				   (long long) expected),
		 errhint(
			 "The connection was lost, or a value is longer than mysql_fdw's buffer: declare long columns as text.")));
}

/* keep_last turns the order values of the last row taken into the start of the next page. */
static void
keep_last(EtlQueryReader *reader)
{
	EtlPage *page = &reader->page;
	MemoryContext old;

	if (reader->rows == 0 || page->n_order == 0)
		return;
	old = MemoryContextSwitchTo(reader->base.request.context);
	if (page->last == NULL)
		page->last = palloc0(sizeof(char *) * page->n_order);
	for (int i = 0; i < page->n_order; i++)
	{
		if (page->last[i])
			pfree(page->last[i]);
		page->last[i] = etl_held_print(&reader->held[i]);
	}
	MemoryContextSwitchTo(old);
}

/* check_short_page asks a source that may end early whether there is more behind a short page. */
static bool
check_short_page(EtlQueryReader *reader)
{
	int64 left = count_rows(reader);

	if (left == 0)
		return false;
	reader->stalls = reader->rows > 0 ? 0 : reader->stalls + 1;
	if (reader->stalls > 1)
		refuse_short(reader, 0, left);
	return true;
}

/* lead_is_key says whether the first order column belongs to the primary key. */
static bool
lead_is_key(const EtlQueryReader *reader)
{
	const EtlNames *key = &reader->base.request.task->primary_key;

	for (int i = 0; i < key->n; i++)
		if (strcmp(key->name[i], reader->page.order[0]->name) == 0)
			return true;
	return false;
}

/* refuse_null_lead looks for rows that the order of the pages leaves out because the key is NULL. */
static void
refuse_null_lead(EtlQueryReader *reader)
{
	EtlPage page = reader->page;
	int64 n;

	page.cursor = page.order[0];
	page.null_cursors = true;
	page.n_order = 0;
	page.upper = NULL;
	if (etl_sql_int64(etl_page_count(&page), &n) && n > 0)
		refuse_null_key(reader, page.cursor);
}

/* start_nulls turns to the rows whose cursor is NULL; false when there can be none because the cursor is a key. */
static bool
start_nulls(EtlQueryReader *reader)
{
	MemoryContext old;

	reader->nulls_to_read = false;
	if (lead_is_key(reader))
	{
		refuse_null_lead(reader);
		return false;
	}
	old = MemoryContextSwitchTo(reader->base.request.context);
	reader->page.upper = NULL;
	reader->page.null_cursors = true;
	etl_query_order(reader, false);
	MemoryContextSwitchTo(old);
	return true;
}

/* read_page executes the query of a page and returns whether there may be more of its kind. */
static bool
read_page(EtlQueryReader *reader)
{
	EtlPage *page = &reader->page;
	char *sql;

	page->limit = page->n_order > 0 ? reader->base.request.max_rows + 1 : 0;
	if (reader->mysql_stores && page->limit > 0)
		page->limit = Min(page->limit,
						  1 + (reader->width > 0 ? MYSQL_RESULT_BYTES / reader->width + 1 : MYSQL_FIRST_ROWS));
	sql = etl_page_select(page);
	if (reader->first_sql == NULL)
		reader->first_sql = MemoryContextStrdup(reader->base.request.context, sql);
	etl_query_verify_begin(reader);
	if (reader->check)
		(void) etl_stream_active(sql, take_row, reader);
	else
		(void) etl_stream_query(sql, take_row, reader);
	keep_last(reader);
	etl_query_verify_end(reader);
	if (reader->rows > 0)
		reader->width = reader->bytes / reader->rows;
	if (reader->more)
		return true;
	return reader->mysql && page->n_order > 0 && check_short_page(reader);
}

/* read_piece reads everything at once; a source that may end early has to give what it counted. */
static bool
read_piece(EtlQueryReader *reader)
{
	int64 before = reader->mysql ? count_rows(reader) : 0;
	int64 after;

	(void) read_page(reader);
	if (!reader->mysql || reader->rows == before)
		return false;
	after = count_rows(reader);
	if (reader->rows < Min(before, after) || reader->rows > Max(before, after))
		refuse_short(reader, reader->rows, before);
	return false;
}

/* query_next_batch reads a page. */
static bool
query_next_batch(EtlReader *base, EtlRowSink *sink)
{
	EtlQueryReader *reader = (EtlQueryReader *) base;
	MemoryContext old = MemoryContextSwitchTo(reader->scratch);
	int level = etl_query_begin(base->request.task);
	bool more;

	if (reader->foreign && reader->page.n_order > 0)
		etl_plan_leave_sorting();
	reader->rows = 0;
	reader->null_cursors = 0;
	reader->bytes = 0;
	reader->more = false;
	reader->sink = sink;
	more = reader->page.n_order > 0 ? read_page(reader) : read_piece(reader);
	if (!more && reader->nulls_to_read)
		more = start_nulls(reader);
	AtEOXact_GUC(false, level);
	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->scratch);
	return more;
}

/* query_state reports the rows of the last batch and the highest cursor so far. */
static void
query_state(EtlReader *base, EtlReadState *state)
{
	EtlQueryReader *reader = (EtlQueryReader *) base;
	int level = NewGUCNestLevel();

	etl_value_pin_settings();
	state->rows = reader->rows;
	state->null_cursors = reader->null_cursors;
	state->last_key = reader->base.request.by_key && reader->rows > 0 ? reader->page.last : NULL;
	state->cursor_to = reader->highest.isnull ? NULL : etl_held_print(&reader->highest);
	state->sql = reader->first_sql;
	state->note = reader->note;
	AtEOXact_GUC(false, level);
}

/* Where the answer of query_edges goes. */
typedef struct EdgesAnswer
{
	EtlEdges *edges;
	MemoryContext context;
} EdgesAnswer;

/* take_edges copies the answer. */
static void
take_edges(TupleTableSlot *slot, void *arg)
{
	EdgesAnswer *answer = arg;
	EtlEdges *edges = answer->edges;
	MemoryContext old = MemoryContextSwitchTo(answer->context);

	slot_getallattrs(slot);
	edges->count = DatumGetInt64(slot->tts_values[0]);
	edges->min = slot->tts_isnull[1] ? NULL : TextDatumGetCString(slot->tts_values[1]);
	edges->max = slot->tts_isnull[2] ? NULL : TextDatumGetCString(slot->tts_values[2]);
	MemoryContextSwitchTo(old);
}

/* query_edges asks for the ends of a column. */
static void
query_edges(EtlReader *base, const EtlColumn *column, const char *from, EtlEdges *edges)
{
	EtlQueryReader *reader = (EtlQueryReader *) base;
	MemoryContext caller = CurrentMemoryContext;
	EdgesAnswer answer = {edges, caller};
	int level = etl_query_begin(base->request.task);

	memset(edges, 0, sizeof(*edges));
	(void) etl_stream_query(etl_page_edges(&reader->page, column, from), take_edges, &answer);
	AtEOXact_GUC(false, level);
}

/* query_close has nothing outside of memory contexts. */
static void
query_close(EtlReader *base)
{
}

const EtlReaderRoutine etl_query_reader = {
	.name = "query",
	.fetch_in_transaction = true,
	.open = query_open,
	.next_batch = query_next_batch,
	.state = query_state,
	.edges = query_edges,
	.close = query_close,
};
