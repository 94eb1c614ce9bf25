/*
 * prepare.c
 *		A postgres reader before its first page. See prepare.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "postgres/prepare.h"

/* The oldest version that has all that is sent; older ones are read through the wrapper. */
#define OLDEST_VERSION 100000

/* ---- open ----------------------------------------------------------------------------------------------------------- */

/* server_obstacle says why a server cannot be read in this way; NULL: it can. No network: it said so when connecting. */
static const char *
server_obstacle(const EtlPgRemote *remote)
{
	const char *integer_datetimes;

	/* explain_task and validate do not connect; they say how a server would be read that has nothing against it. */
	if (remote->conn == NULL)
		return NULL;
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

/* etl_pg_prepare_order sets what the pages are ordered by, and forgets where the last one ended. */
void
etl_pg_prepare_order(EtlPgReader *reader, bool with_cursor)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlRemotePage *page = &reader->page;

	page->order = MemoryContextAlloc(request->context, sizeof(int) * (request->task->primary_key.n + 1));
	page->n_order = request->task->primary_key.n > 0 ? etl_remote_page_order(request, with_cursor, page->order) : 0;
	etl_pg_rows_order(&reader->rows, page->order, page->n_order);
	reader->start = MemoryContextAllocZero(request->context, sizeof(char *) * Max(page->n_order, 1));
	reader->end = MemoryContextAllocZero(request->context, sizeof(char *) * Max(page->n_order, 1));
	page->last = NULL;
}

/* cursor_leads says whether the pages are in the order of the cursor. */
static bool
cursor_leads(const EtlPgReader *reader)
{
	return reader->page.n_order > 0 && reader->rows.cursor != NULL && reader->rows.order[0] == reader->rows.cursor;
}

/* set_nulls decides when the rows without a cursor are read: in cursor order after the others, else among them. */
static void
set_nulls(EtlPgReader *reader)
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
start_after(EtlPgReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;

	if (!request->by_key || request->after == NULL || reader->page.n_order == 0)
		return;
	for (int i = 0; i < reader->page.n_order; i++)
		reader->start[i] = pstrdup(request->after[i]);
	reader->page.last = reader->start;
}

/* etl_pg_prepare_open fills a reader in; false: *why_not says why it cannot do it. */
bool
etl_pg_prepare_open(EtlPgReader *reader, const char **why_not)
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
	etl_pg_prepare_order(reader, !request->by_key);
	set_nulls(reader);
	start_after(reader);
	return true;
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
check_order(EtlPgReader *reader, const PGresult *description)
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
choose_forms(EtlPgReader *reader, const PGresult *description)
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

/* etl_pg_prepare_describe asks for the types of the columns at the source. */
void
etl_pg_prepare_describe(EtlPgReader *reader)
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
