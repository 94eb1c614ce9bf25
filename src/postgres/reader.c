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

#include "catalog/pg_type.h"
#include "errors.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postgres/connection.h"
#include "postgres/copy.h"
#include "postgres/rows.h"
#include "source/project.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* The oldest version that has all that is sent; older ones are read through the wrapper. */
#define OLDEST_VERSION 100000

typedef enum Phase
{
	PHASE_ROWS,			/* within the bounds */
	PHASE_NULL_CURSORS, /* the rows without a cursor, in the order of the key */
	PHASE_NULL_KEYS		/* the rows that pages leave out because their key is NULL: there must be none */
} Phase;

typedef struct PgReader
{
	EtlReader base;
	EtlPgRemote *remote;
	MemoryContext scratch; /* emptied at each batch */
	MemoryContext row_context;
	EtlRemotePage page;
	EtlPgCopy *copy;
	EtlProjection *projection;
	EtlPgRows rows;
	bool described; /* the types at the source are known */
	bool fetched;	/* the source was asked for the next batch */
	bool more;		/* the row behind the batch was seen */
	bool nulls_to_read;
	Phase phase;
	char *sql;	   /* what was sent for this batch */
	char *message; /* libpq's; NULL: none */
	int length;
	int64 copied; /* rows of this COPY */
	char **last;  /* order values of the last row taken */
	char *first_sql;
	const char *note;
	const char *reason;
} PgReader;

/* ---- open ----------------------------------------------------------------------------------------------------------- */

/* server_obstacle says why a server cannot be read in this way; NULL: it can. No network: it said so when connecting. */
static const char *
server_obstacle(const EtlPgRemote *remote)
{
	const char *integer_datetimes;

	if (remote->conn == NULL)
		return "there is no connection to the source";
	integer_datetimes = PQparameterStatus(remote->conn, "integer_datetimes");
	if (PQparameterStatus(remote->conn, "crdb_version"))
		return "the source is not PostgreSQL";
	if (PQserverVersion(remote->conn) < OLDEST_VERSION)
		return "the source runs a PostgreSQL older than 10";
	if (integer_datetimes == NULL || strcmp(integer_datetimes, "on") != 0)
		return "the source keeps times as floating point numbers";
	return NULL;
}

/* has_all_columns says whether cursor and key are among the columns that are taken. */
static bool
has_all_columns(const EtlReadRequest *request)
{
	const EtlTask *task = request->task;

	for (int i = 0; i < task->primary_key.n; i++)
		if (etl_relation_column(request->source, task->primary_key.name[i]) == NULL)
			return false;
	return task->cursor_column == NULL || etl_relation_column(request->source, task->cursor_column) != NULL;
}

/* set_order sets what the pages are ordered by, and forgets where the last one ended. */
static void
set_order(PgReader *reader, bool with_cursor)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlRemotePage *page = &reader->page;

	page->order = MemoryContextAlloc(request->context, sizeof(int) * (request->task->primary_key.n + 1));
	page->n_order = request->task->primary_key.n > 0 ? etl_remote_page_order(request, with_cursor, page->order) : 0;
	etl_pg_rows_order(&reader->rows, page->order, page->n_order);
	reader->last = MemoryContextAllocZero(request->context, sizeof(char *) * Max(page->n_order, 1));
	page->last = NULL;
}

/* cursor_leads says whether the pages are in the order of the cursor. */
static bool
cursor_leads(const PgReader *reader)
{
	return reader->page.n_order > 0 && reader->rows.cursor != NULL && reader->rows.order[0] == reader->rows.cursor;
}

/* set_nulls decides when the rows without a cursor are read: in cursor order after the others, else among them. */
static void
set_nulls(PgReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlRemotePage *page = &reader->page;

	page->nulls = ETL_NULLS_AS_THEY_COME;
	reader->nulls_to_read = page->n_order > 0 && !reader->rows.order[0]->not_null && request->until == NULL &&
							(request->null_cursors || !cursor_leads(reader));
	if (cursor_leads(reader))
		page->nulls = ETL_NULLS_LEFT_OUT;
	else if (reader->rows.cursor && request->null_cursors)
		page->nulls = ETL_NULLS_TOO;
	else if (reader->rows.cursor && request->lower == NULL && request->below == NULL)
		page->nulls = ETL_NULLS_LEFT_OUT;
}

/* start_after lets the first page begin behind the key that the request names. */
static void
start_after(PgReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;

	if (!request->by_key || request->after == NULL || reader->page.n_order == 0)
		return;
	for (int i = 0; i < reader->page.n_order; i++)
		reader->last[i] = pstrdup(request->after[i]);
	reader->page.last = reader->last;
}

/* set_up fills a reader in; false: *why_not says why it cannot do it. */
static bool
set_up(PgReader *reader, const char **why_not)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlRemoteBase *base;

	*why_not = server_obstacle(reader->remote);
	if (*why_not == NULL && !has_all_columns(request))
		*why_not = "the extract does not take all columns of cursor and key";
	if (*why_not || (base = etl_remote_base_make(request, why_not)) == NULL)
		return false;
	reader->projection = etl_project_make(request, why_not);
	if (reader->projection == NULL)
		return false;
	reader->copy = etl_pg_copy_make(request->source);
	reader->page.request = request;
	reader->page.base = base;
	etl_pg_rows_init(&reader->rows, request);
	set_order(reader, !request->by_key);
	set_nulls(reader);
	start_after(reader);
	return true;
}

/* pg_open starts a read. */
static EtlReader *
pg_open(const EtlReadRequest *request, const char **why_not)
{
	MemoryContext old = MemoryContextSwitchTo(request->context);
	PgReader *reader = palloc0(sizeof(PgReader));

	reader->base.routine = &etl_postgres_reader;
	reader->base.request = *request;
	reader->remote = (EtlPgRemote *) request->remote;
	reader->scratch = AllocSetContextCreate(request->context, "etl postgres reader", ALLOCSET_DEFAULT_SIZES);
	reader->row_context = AllocSetContextCreate(request->context, "etl postgres row", ALLOCSET_SMALL_SIZES);
	if (!set_up(reader, why_not))
		reader = NULL;
	MemoryContextSwitchTo(old);
	return reader ? &reader->base : NULL;
}

/* ---- what the source has -------------------------------------------------------------------------------------------- */

/* is_integer says whether a type holds whole numbers. */
static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* pages_exactly says whether a value of a column, printed here, is the same value for the source. */
static bool
pages_exactly(const EtlColumn *column, Oid remote_type, int32 remote_typmod)
{
	if (column->type == TEXTOID || (column->type == VARCHAROID && column->typmod < 0))
		return true;
	if (is_integer(column->type) && is_integer(remote_type))
		return true;
	return column->type == remote_type && (column->typmod < 0 || column->typmod == remote_typmod);
}

/* check_order gives up paging where a page could not begin exactly behind the one before. */
static void
check_order(PgReader *reader, const PGresult *description)
{
	EtlRemotePage *page = &reader->page;

	for (int i = 0; i < page->n_order; i++)
	{
		const EtlColumn *column = reader->rows.order[i];
		int field = page->order[i];

		if (pages_exactly(column, PQftype(description, field), PQfmod(description, field)))
			continue;
		reader->note = psprintf("Read in one piece: column \"%s\" has another type in the source.", column->name);
		page->n_order = 0;
		page->last = NULL;
		reader->rows.n_order = 0;
		reader->nulls_to_read = false;
		if (page->nulls == ETL_NULLS_LEFT_OUT && reader->base.request.null_cursors)
			page->nulls = ETL_NULLS_TOO;
		return;
	}
}

/* choose_forms decides for each column how it comes, and says which come as text although the types are no text. */
static void
choose_forms(PgReader *reader, const PGresult *description)
{
	EtlRemotePage *page = &reader->page;
	StringInfoData names;
	int n = 0;

	initStringInfo(&names);
	page->n_select = reader->copy->n;
	page->select = palloc(sizeof(char *) * page->n_select);
	for (int i = 0; i < page->n_select; i++)
	{
		EtlPgColumn *column = &reader->copy->column[i];

		etl_pg_copy_choose(reader->copy, i, PQftype(description, i), PQfmod(description, i));
		page->select[i] = psprintf(column->select, page->base->column[i]);
		if (column->converted)
			appendStringInfo(&names, "%s%s", n++ ? ", " : "", column->column->name);
	}
	if (n > 0)
		reader->reason = psprintf("%s %s as text", n == 1 ? "column" : "columns", names.data);
}

/* describe asks for the types of the columns at the source. */
static void
describe(PgReader *reader)
{
	MemoryContext old = MemoryContextSwitchTo(reader->base.request.context);
	const char *sql = reader->page.base->sql;
	const char *encoding = PQparameterStatus(reader->remote->conn, "server_encoding");
	PGresult *description = etl_pg_describe(reader->remote, sql);

	PG_TRY();
	{
		if (PQnfields(description) != reader->copy->n)
			elog(ERROR, "the source describes %d columns instead of %d", PQnfields(description), reader->copy->n);
		choose_forms(reader, description);
		check_order(reader, description);
	}
	PG_FINALLY();
	{
		PQclear(description);
	}
	PG_END_TRY();
	reader->copy->verify_text = encoding == NULL || strcmp(encoding, GetDatabaseEncodingName()) != 0;
	reader->described = true;
	MemoryContextSwitchTo(old);
}

/* ---- the source's transaction --------------------------------------------------------------------------------------- */

/* begin_sql returns what begins a transaction at the source. */
static char *
begin_sql(const PgReader *reader)
{
	const char *snapshot = reader->base.request.snapshot;

	return psprintf(
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; %s",
		snapshot ? psprintf("SET TRANSACTION SNAPSHOT %s; ", etl_remote_literal(reader->base.request.remote, snapshot))
				 : "");
}

/* start_copy asks for a page and waits for its first message. */
static void
start_copy(PgReader *reader)
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
count_null_keys(PgReader *reader)
{
	char **count = etl_remote_row(reader->base.request.remote, etl_remote_page_null_keys(&reader->page), 1);

	if (count && strcmp(count[0], "0") != 0)
		etl_pg_rows_refuse_null(&reader->rows, reader->rows.order[0]);
}

/* fetch asks for the next batch, without a transaction. */
static void
fetch(PgReader *reader)
{
	if (!reader->described)
		describe(reader);
	etl_pg_rows_begin(&reader->rows);
	reader->more = false;
	if (reader->phase == PHASE_NULL_KEYS)
		count_null_keys(reader);
	else
		start_copy(reader);
	reader->fetched = true;
}

/* refuse_short reports a COPY that ended before its end. */
static void
refuse_short(const PgReader *reader, const char *said)
{
	ereport(ERROR, (errcode(ERRCODE_ETL_SHORT_READ),
					errmsg("source %s returned fewer rows than it has", reader->base.request.source->name),
					errdetail("Rows that arrived: %lld; rows that the source says it sent: %s.",
							  (long long) reader->copied, said),
					errhint("The next attempt goes on from the last committed batch.")));
}

/* end_copy takes the answer behind the rows and compares their number. */
static void
end_copy(PgReader *reader)
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
column_index(const PgReader *reader, const EtlColumn *column)
{
	return etl_relation_column(reader->base.request.source, column->name) - reader->base.request.source->column;
}

/* verify compares the batch with what the source counts within its bounds, in the snapshot in which it was read. */
static void
verify(PgReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlRemotePage page = reader->page;
	const EtlColumn *column = reader->rows.verify ? reader->rows.verify : &request->source->column[0];
	char **answer;

	page.upto = reader->more ? reader->last : NULL;
	answer = etl_remote_row(request->remote, etl_remote_page_edges(&page, column_index(reader, column), NULL), 3);
	(void) etl_remote_query(request->remote, "COMMIT", 0, NULL, NULL);
	if (answer)
		etl_pg_rows_verify(&reader->rows, answer);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

/* take_row takes the row in the projection's input. */
static void
take_row(PgReader *reader, EtlRowSink *sink)
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
take_rows(PgReader *reader, EtlRowSink *sink)
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
lead_is_key(const PgReader *reader)
{
	const EtlNames *key = &reader->base.request.task->primary_key;

	for (int i = 0; i < key->n; i++)
		if (strcmp(key->name[i], reader->rows.order[0]->name) == 0)
			return true;
	return false;
}

/* start_nulls turns to the rows that the pages left out. */
static void
start_nulls(PgReader *reader)
{
	reader->nulls_to_read = false;
	if (lead_is_key(reader))
	{
		reader->phase = PHASE_NULL_KEYS;
		return;
	}
	reader->phase = PHASE_NULL_CURSORS;
	reader->page.nulls = ETL_NULLS_ONLY;
	set_order(reader, false);
}

/* take_batch reads what was asked for; returns whether there may be more. */
static bool
take_batch(PgReader *reader, EtlRowSink *sink)
{
	if (reader->phase == PHASE_NULL_KEYS)
		return false;
	take_rows(reader, sink);
	end_copy(reader);
	if (reader->page.n_order > 0 && reader->rows.rows > 0)
		etl_pg_rows_print_last(&reader->rows, reader->last);
	if (reader->base.request.verify)
		verify(reader);
	if (reader->page.n_order > 0 && reader->rows.rows > 0)
		reader->page.last = reader->last;
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
	PgReader *reader = (PgReader *) base;
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
	PgReader *reader = (PgReader *) base;
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
	PgReader *reader = (PgReader *) base;
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
	PgReader *reader = (PgReader *) base;

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
