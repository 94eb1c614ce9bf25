/*
 * reader.c
 *		The mysql reader: tables of mysql_fdw, unbuffered, over a connection of our own. See source/reader.h.
 *
 * The base of every statement is the query that mysql_fdw itself would send, so that names, options and the filter mean
 * the same. All statements of an attempt see one consistent snapshot, which begins with the first one; the connection
 * keeps it over all chunks. Each chunk is one statement with a limit, of which one row more than wanted is asked: it says
 * whether there is more, and that the key tells the rows on both sides of the cut apart.
 *
 * Before the first chunk MySQL describes the columns (the base with LIMIT 0): what it sends for a column depends on its
 * type there, and a FLOAT has to be asked for as a DOUBLE.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "mysql/reader.h"
#include "source/value.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

/* prepare_cursor finds the cursor. */
static void
prepare_cursor(EtlMyReader *reader)
{
	const EtlSource *source = reader->base.request.source;
	const char *name = reader->base.request.task->cursor_column;

	reader->cursor = -1;
	reader->highest.isnull = true;
	for (int i = 0; name && i < source->n; i++)
		if (strcmp(source->column[i].name, name) == 0)
			reader->cursor = i;
	if (reader->cursor < 0)
		return;
	etl_held_prepare(&reader->highest, source->column[reader->cursor].type);
	reader->compare = &lookup_type_cache(source->column[reader->cursor].type, TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo;
}

/* my_open prepares; NULL: *why_not says why. */
static EtlReader *
my_open(const EtlReadRequest *request, const char **why_not)
{
	MemoryContext old = MemoryContextSwitchTo(request->context);
	EtlRemoteBase *remote_base = etl_remote_base_make(request, why_not);
	EtlProjection *projection = remote_base ? etl_project_make(request, why_not) : NULL;
	EtlMyReader *reader;

	if (projection == NULL)
	{
		MemoryContextSwitchTo(old);
		return NULL;
	}
	reader = palloc0(sizeof(EtlMyReader));
	reader->base.routine = &etl_mysql_reader;
	reader->base.request = *request;
	reader->my = (EtlMyRemote *) request->remote;
	reader->projection = projection;
	reader->values = etl_my_values_make(request);
	reader->scratch = AllocSetContextCreate(request->context, "etl mysql reader", ALLOCSET_DEFAULT_SIZES);
	reader->row = AllocSetContextCreate(request->context, "etl mysql row", ALLOCSET_DEFAULT_SIZES);
	reader->page.request = &reader->base.request;
	reader->page.base = remote_base;
	prepare_cursor(reader);
	etl_my_order_decide(reader);
	etl_my_verify_prepare(reader);
	MemoryContextSwitchTo(old);
	return &reader->base;
}

/* describe asks MySQL what its columns are, and decides how they are selected and converted. */
static void
describe(EtlMyReader *reader)
{
	const EtlRemoteBase *remote_base = reader->page.base;
	MemoryContext old = MemoryContextSwitchTo(reader->base.request.context);
	int n = reader->base.request.source->n;
	MYSQL_FIELD *field = palloc(sizeof(MYSQL_FIELD) * n);

	reader->page.select = palloc(sizeof(char *) * n);
	reader->page.n_select = n;
	memcpy(reader->page.select, remote_base->column, sizeof(char *) * n);
	etl_my_start(reader->my, psprintf("SELECT * FROM (%s) AS %s LIMIT 0", remote_base->sql, remote_base->alias));
	if (reader->my->result == NULL || mysql_num_fields(reader->my->result) != n)
		ereport(ERROR, (errcode(ERRCODE_FDW_INCONSISTENT_DESCRIPTOR_INFORMATION),
						errmsg("source %s has other columns than its foreign table", reader->base.request.source->name),
						errhint("Compare the foreign table with the table in MySQL.")));
	for (int i = 0; i < n; i++)
	{
		field[i] = *mysql_fetch_field_direct(reader->my->result, i);
		etl_my_values_describe(reader->values, i, &field[i]);
		reader->page.select[i] = etl_my_values_expression(&field[i], remote_base->column[i]);
	}
	while (etl_my_fetch(reader->my))
		CHECK_FOR_INTERRUPTS();
	reader->field = field;
	etl_my_order_check(reader);
	MemoryContextSwitchTo(old);
}

/* get_ready begins the snapshot and learns the columns, once. */
static void
get_ready(EtlMyReader *reader)
{
	etl_my_begin_snapshot(reader->my);
	if (reader->field == NULL)
		describe(reader);
}

/* ask sends the question for the next page and waits for its first row. */
static void
ask(EtlMyReader *reader)
{
	char *sql;

	get_ready(reader);
	reader->page.limit = reader->page.n_order > 0 ? reader->base.request.max_rows + 1 : 0;
	sql = etl_remote_page_select(&reader->page);
	if (reader->first_sql == NULL)
		reader->first_sql = MemoryContextStrdup(reader->base.request.context, sql);
	etl_my_start(reader->my, sql);
	reader->pending = etl_my_fetch(reader->my);
	reader->asked = true;
}

/* take_cursor keeps the highest cursor value and says whether the row is to be delivered; see the query reader. */
static bool
take_cursor(EtlMyReader *reader)
{
	const EtlColumn *cursor;
	TupleTableSlot *slot = reader->projection->input;
	Datum value;

	if (reader->cursor < 0)
		return true;
	cursor = &reader->base.request.source->column[reader->cursor];
	value = slot->tts_values[cursor->attnum - 1];
	if (slot->tts_isnull[cursor->attnum - 1] || !etl_value_is_finite(cursor->type, value))
	{
		reader->null_cursors++;
		return reader->base.request.null_cursors;
	}
	if (reader->highest.isnull ||
		DatumGetInt32(FunctionCall2Coll(reader->compare, cursor->collation, value, reader->highest.value)) > 0)
		etl_held_keep(&reader->highest, value, false, reader->base.request.context);
	return true;
}

/* check_keys refuses a key that is NULL because its date does not exist. */
static void
check_keys(EtlMyReader *reader)
{
	const EtlColumn *column = reader->base.request.source->column;

	for (int i = 0; i < reader->page.n_order; i++)
		if (reader->page.order[i] != reader->cursor &&
			reader->projection->input->tts_isnull[column[reader->page.order[i]].attnum - 1])
			etl_my_order_refuse_null(reader, reader->page.order[i]);
}

/* take_row converts a row and puts it. */
static void
take_row(EtlMyReader *reader, MYSQL_ROW row, EtlRowSink *sink)
{
	unsigned long *length = mysql_fetch_lengths(reader->my->result);
	MemoryContext old;

	if (reader->page.limit > 0 && reader->rows + 1 == reader->page.limit)
	{
		reader->more = true;
		etl_my_order_compare(reader, row, length);
		return;
	}
	old = MemoryContextSwitchTo(reader->row);
	etl_my_order_keep(reader, row, length);
	etl_my_values_row(reader->values, row, length, reader->projection->input);
	check_keys(reader);
	etl_my_verify_see(reader);
	reader->rows++;
	if (take_cursor(reader))
		etl_project_put(reader->projection, sink);
	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->row);
}

/* move_on makes the end of this page the start of the next one. */
static void
move_on(EtlMyReader *reader, char **last)
{
	char **before = reader->page.last;

	for (int i = 0; before && before != (char **) reader->base.request.after && i < reader->page.n_order; i++)
		pfree(before[i]);
	if (before && before != (char **) reader->base.request.after)
		pfree(before);
	reader->page.last = last;
}

/* end_page verifies what was read and moves on; returns whether there is more. */
static bool
end_page(EtlMyReader *reader)
{
	char **last = reader->rows > 0 && reader->page.n_order > 0 ? etl_my_order_last(reader) : NULL;

	etl_my_verify_batch(reader, reader->more ? last : NULL);
	if (last)
		move_on(reader, last);
	return reader->more || (reader->nulls_to_read && etl_my_order_start_nulls(reader));
}

/* my_next_batch asks when it is called first, and reads when there is a sink. */
static bool
my_next_batch(EtlReader *base, EtlRowSink *sink)
{
	EtlMyReader *reader = (EtlMyReader *) base;
	MemoryContext old = MemoryContextSwitchTo(reader->scratch);
	int level;
	bool more = true;

	if (!reader->asked)
		ask(reader);
	if (sink)
	{
		level = NewGUCNestLevel();
		etl_value_pin_settings();
		reader->rows = 0;
		reader->null_cursors = 0;
		reader->more = false;
		for (MYSQL_ROW row = reader->pending; row != NULL; row = etl_my_fetch(reader->my))
		{
			CHECK_FOR_INTERRUPTS();
			take_row(reader, row, sink);
		}
		reader->pending = NULL;
		reader->asked = false;
		more = end_page(reader);
		AtEOXact_GUC(false, level);
	}
	MemoryContextSwitchTo(old);
	if (sink)
		MemoryContextReset(reader->scratch);
	return more;
}

/* my_state reports the last batch and the highest cursor so far. */
static void
my_state(EtlReader *base, EtlReadState *state)
{
	EtlMyReader *reader = (EtlMyReader *) base;
	int level = NewGUCNestLevel();

	etl_value_pin_settings();
	state->rows = reader->rows;
	state->null_cursors = reader->null_cursors;
	state->last_key = base->request.by_key && reader->rows > 0 && reader->page.n_order > 0 ? reader->page.last : NULL;
	state->cursor_to = reader->highest.isnull ? NULL : etl_held_print(&reader->highest);
	state->sql = reader->first_sql;
	state->note = reader->note;
	etl_my_values_count(reader->values, base->attempt);
	AtEOXact_GUC(false, level);
}

/* my_edges asks in the snapshot in which the rows are read. */
static void
my_edges(EtlReader *base, const EtlColumn *column, const char *from, EtlEdges *edges)
{
	EtlMyReader *reader = (EtlMyReader *) base;
	EtlRemotePage page = reader->page;

	page.n_order = 0;
	page.last = NULL;
	get_ready(reader);
	etl_my_verify_ask(reader, etl_remote_page_edges(&page, column - base->request.source->column, from), column->type,
					  edges);
}

/* my_close leaves the connection to its owner. */
static void
my_close(EtlReader *base)
{
	EtlMyReader *reader = (EtlMyReader *) base;

	etl_project_free(reader->projection);
	reader->projection = NULL;
}

const EtlReaderRoutine etl_mysql_reader = {
	.name = "mysql",
	.fetch_in_transaction = false,
	.open = my_open,
	.next_batch = my_next_batch,
	.state = my_state,
	.edges = my_edges,
	.close = my_close,
};
