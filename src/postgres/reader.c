/*
 * reader.c
 *		The reader for tables of postgres_fdw: COPY (FORMAT binary) through a connection of our own. See source/reader.h.
 *
 * A batch is one transaction at the source, read only and with one snapshot, sent as one string: BEGIN, COPY of a page,
 * and COMMIT, so that it ends when the source has sent the last row, whatever happens here. To compare the batch with
 * the source the COMMIT waits until the count was asked for in the same snapshot.
 *
 * Pages are those of the query reader: by cursor and key, one row more than is taken. The source does all comparing, so
 * that text keys can be paged too. The types of its columns are asked for before the first page, when it may be waited
 * for; what cannot come in binary form comes as text.
 */
#include "postgres.h"

#include "errors.h"
#include "miscadmin.h"
#include "postgres/prepare.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* pg_open starts a read. */
static EtlReader *
pg_open(const EtlReadRequest *request, const char **why_not)
{
	MemoryContext old = MemoryContextSwitchTo(request->context);
	EtlPgReader *reader = palloc0(sizeof(EtlPgReader));

	reader->base.routine = &etl_postgres_reader;
	reader->base.request = *request;
	reader->remote = (EtlPgRemote *) request->remote;
	reader->scratch = AllocSetContextCreate(request->context, "etl postgres reader", ALLOCSET_DEFAULT_SIZES);
	reader->row_context = AllocSetContextCreate(request->context, "etl postgres row", ALLOCSET_SMALL_SIZES);
	if (!etl_pg_prepare_open(reader, why_not))
		reader = NULL;
	MemoryContextSwitchTo(old);
	return reader ? &reader->base : NULL;
}

/* ---- the source's transaction --------------------------------------------------------------------------------------- */

/* begin_sql returns what begins a transaction at the source. */
static char *
begin_sql(const EtlPgReader *reader)
{
	const char *snapshot = reader->base.request.snapshot;

	return psprintf(
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; %s",
		snapshot ? psprintf("SET TRANSACTION SNAPSHOT %s; ", etl_remote_literal(reader->base.request.remote, snapshot))
				 : "");
}

/* start_copy asks for a page and waits for its first message. */
static void
start_copy(EtlPgReader *reader)
{
	EtlRemotePage *page = &reader->page;
	PGresult *res;
	char *copy;

	page->limit = page->n_order > 0 ? reader->base.request.max_rows + 1 : 0;
	copy = psprintf("COPY (%s) TO STDOUT (FORMAT binary)", etl_remote_page_select(page));
	if (reader->first_sql == NULL)
		reader->first_sql = MemoryContextStrdup(reader->base.request.context, copy);
	reader->sql = psprintf("%s%s%s", begin_sql(reader), copy, reader->base.request.verify ? "" : "; COMMIT");
	etl_pg_send(reader->remote, reader->sql);
	while ((res = etl_pg_result(reader->remote, reader->sql)) != NULL)
	{
		ExecStatusType status = PQresultStatus(res);

		PQclear(res);
		if (status == PGRES_COPY_OUT)
			break;
	}
	etl_pg_copy_begin(reader->copy);
	reader->copied = 0;
	reader->message = etl_pg_copy_message(reader->remote, reader->sql, &reader->length);
}

/* count_null_keys looks for rows that the order of the pages leaves out because the key is NULL. */
static void
count_null_keys(EtlPgReader *reader)
{
	char **count = etl_remote_row(reader->base.request.remote, etl_remote_page_null_keys(&reader->page), 1);

	if (count && strcmp(count[0], "0") != 0)
		etl_pg_rows_refuse_null(&reader->rows, reader->rows.order[0]);
}

/* fetch asks for the next batch, without a transaction. */
static void
fetch(EtlPgReader *reader)
{
	if (!reader->described)
		etl_pg_prepare_describe(reader);
	etl_pg_rows_begin(&reader->rows);
	reader->more = false;
	if (reader->phase == ETL_PG_NULL_KEYS)
		count_null_keys(reader);
	else
		start_copy(reader);
	reader->fetched = true;
}

/* refuse_short reports a COPY that ended before its end. */
static void
refuse_short(const EtlPgReader *reader, const char *said)
{
	ereport(ERROR, (errcode(ERRCODE_ETL_SHORT_READ),
					errmsg("source %s returned fewer rows than it has", reader->base.request.source->name),
					errdetail("Rows that arrived: %lld; rows that the source says it sent: %s.",
							  (long long) reader->copied, said),
					errhint("The next attempt goes on from the last committed batch.")));
}

/* end_copy takes the answer behind the rows and compares their number. */
static void
end_copy(EtlPgReader *reader)
{
	PGresult *res = etl_pg_result(reader->remote, reader->sql);
	char said[32];

	strlcpy(said, res ? PQcmdTuples(res) : "", sizeof(said));
	PQclear(res);
	if (!reader->copy->ended || strtoll(said, NULL, 10) != reader->copied)
		refuse_short(reader, said);
	etl_pg_finish(reader->remote, reader->sql);
}

/* column_index returns the place of a column, which may be described elsewhere, in the source. */
static int
column_index(const EtlPgReader *reader, const EtlColumn *column)
{
	return etl_relation_column(reader->base.request.source, column->name) - reader->base.request.source->column;
}

/* verify compares the batch with what the source counts within its bounds, in the snapshot in which it was read. */
static void
verify(EtlPgReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlRemotePage page = reader->page;
	const EtlColumn *column = reader->rows.verify ? reader->rows.verify : &request->source->column[0];
	char **answer;

	page.upto = reader->more ? reader->end : NULL;
	answer = etl_remote_row(request->remote, etl_remote_page_edges(&page, column_index(reader, column), NULL), 3);
	(void) etl_remote_query(request->remote, "COMMIT", 0, NULL, NULL);
	if (answer)
		etl_pg_rows_verify(&reader->rows, answer);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

/* take_row takes the row in the projection's input. */
static void
take_row(EtlPgReader *reader, EtlRowSink *sink)
{
	TupleTableSlot *slot = reader->projection->input;

	reader->copied++;
	if (reader->page.limit > 0 && reader->rows.rows + 1 == reader->page.limit)
	{
		reader->more = true;
		etl_pg_rows_next(&reader->rows, slot);
		return;
	}
	if (etl_pg_rows_take(&reader->rows, slot))
		etl_project_put(reader->projection, sink);
}

/* take_rows streams the messages into the sink. */
static void
take_rows(EtlPgReader *reader, EtlRowSink *sink)
{
	MemoryContext old = MemoryContextSwitchTo(reader->row_context);

	while (reader->message)
	{
		CHECK_FOR_INTERRUPTS();
		etl_pg_copy_feed(reader->copy, reader->message, reader->length);
		while (etl_pg_copy_row(reader->copy, reader->projection->input))
			take_row(reader, sink);
		PQfreemem(reader->message);
		reader->message = NULL;
		MemoryContextReset(reader->row_context);
		reader->message = etl_pg_copy_message(reader->remote, reader->sql, &reader->length);
	}
	MemoryContextSwitchTo(old);
}

/* lead_is_key says whether the first order column belongs to the primary key. */
static bool
lead_is_key(const EtlPgReader *reader)
{
	const EtlNames *key = &reader->base.request.task->primary_key;

	for (int i = 0; i < key->n; i++)
		if (strcmp(key->name[i], reader->rows.order[0]->name) == 0)
			return true;
	return false;
}

/* start_nulls turns to the rows that the pages left out. */
static void
start_nulls(EtlPgReader *reader)
{
	reader->nulls_to_read = false;
	if (lead_is_key(reader))
	{
		reader->phase = ETL_PG_NULL_KEYS;
		return;
	}
	reader->phase = ETL_PG_NULL_CURSORS;
	reader->page.nulls = ETL_NULLS_ONLY;
	etl_pg_prepare_order(reader, false);
}

/* next_page lets the next page begin behind the last row of this one. */
static void
next_page(EtlPgReader *reader)
{
	char **start = reader->start;

	reader->page.last = reader->start = reader->end;
	reader->end = start;
}

/* take_batch reads what was asked for; returns whether there may be more. */
static bool
take_batch(EtlPgReader *reader, EtlRowSink *sink)
{
	if (reader->phase == ETL_PG_NULL_KEYS)
		return false;
	take_rows(reader, sink);
	end_copy(reader);
	if (reader->page.n_order > 0 && reader->rows.rows > 0)
		etl_pg_rows_print_last(&reader->rows, reader->end);
	if (reader->base.request.verify)
		verify(reader);
	if (reader->page.n_order > 0 && reader->rows.rows > 0)
		next_page(reader);
	if (!reader->more && reader->nulls_to_read)
	{
		start_nulls(reader);
		return true;
	}
	return reader->more;
}

/* pg_next_batch first asks, without a sink, and then takes. */
static bool
pg_next_batch(EtlReader *base, EtlRowSink *sink)
{
	EtlPgReader *reader = (EtlPgReader *) base;
	MemoryContext old = MemoryContextSwitchTo(reader->scratch);
	bool more = true;
	int level;

	if (!reader->fetched)
		fetch(reader);
	if (sink)
	{
		level = etl_attempt_author_path(base->request.task);
		etl_value_pin_settings();
		more = take_batch(reader, sink);
		AtEOXact_GUC(false, level);
		reader->fetched = false;
	}
	MemoryContextSwitchTo(old);
	if (sink)
		MemoryContextReset(reader->scratch);
	return more;
}

/* pg_state reports the rows of the last batch and the highest cursor so far. */
static void
pg_state(EtlReader *base, EtlReadState *state)
{
	EtlPgReader *reader = (EtlPgReader *) base;
	int level = NewGUCNestLevel();

	etl_value_pin_settings();
	state->rows = reader->rows.rows;
	state->null_cursors = reader->rows.null_cursors;
	state->last_key = base->request.by_key && reader->rows.rows > 0 ? reader->page.last : NULL;
	state->cursor_to = reader->rows.highest.isnull ? NULL : etl_held_print(&reader->rows.highest);
	state->sql = reader->first_sql;
	state->note = reader->note;
	state->reason = reader->reason;
	AtEOXact_GUC(false, level);
}

/* pg_edges asks for the ends of a column, in a transaction of its own. */
static void
pg_edges(EtlReader *base, const EtlColumn *column, const char *from, EtlEdges *edges)
{
	EtlPgReader *reader = (EtlPgReader *) base;
	EtlRemotePage page = reader->page;
	char **answer;

	page.last = NULL;
	answer = etl_remote_row(
		base->request.remote,
		psprintf("%s%s; COMMIT", begin_sql(reader), etl_remote_page_edges(&page, column_index(reader, column), from)),
		3);
	if (answer == NULL)
		elog(ERROR, "the source did not answer how many rows it has");
	edges->count = strtoll(answer[0], NULL, 10);
	edges->min = answer[1];
	edges->max = answer[2];
}

/* pg_close frees what is outside of memory contexts. */
static void
pg_close(EtlReader *base)
{
	EtlPgReader *reader = (EtlPgReader *) base;

	if (reader->message)
		PQfreemem(reader->message);
	reader->message = NULL;
	etl_project_free(reader->projection);
	reader->projection = NULL;
}

const EtlReaderRoutine etl_postgres_reader = {
	.name = "postgres",
	.fetch_in_transaction = false,
	.open = pg_open,
	.next_batch = pg_next_batch,
	.state = pg_state,
	.edges = pg_edges,
	.close = pg_close,
};
