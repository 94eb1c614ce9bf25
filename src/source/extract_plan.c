/*
 * extract_plan.c
 *		What the next run of an extract would ask its source. See extract_plan.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "feed/feed.h"
#include "guc.h"
#include "source/deletes.h"
#include "source/extract_plan.h"
#include "source/null_cursor.h"
#include "source/remote_page.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* sample_bound returns a value of a cursor type that stands for a watermark when a plan is looked at. */
static char *
sample_bound(Oid type)
{
	switch (type)
	{
		case TIMESTAMPOID:
			return "2000-01-01 00:00:00";
		case TIMESTAMPTZOID:
			return "2000-01-01 00:00:00+00";
		case DATEOID:
			return "2000-01-01";
		case UUIDOID:
			return "00000000-0000-0000-0000-000000000000";
		default:
			return "0";
	}
}

/* fill_request does what a run does before it reads. */
static void
fill_request(EtlExtractPlan *plan, const EtlTask *task, bool sample)
{
	EtlExtract *extract = &plan->extract;
	EtlReadRequest *request = &extract->request;
	const EtlColumn *cursor = task->cursor_column ? etl_relation_column(extract->source, task->cursor_column) : NULL;

	extract->bounds = etl_bounds_get(task, extract->source, false);
	if (extract->bounds.lower == NULL && sample && cursor)
		extract->bounds.lower = extract->bounds.reached = sample_bound(cursor->type);
	request->task = task;
	request->source = extract->source;
	request->map = etl_raw_map_make(extract->source, extract->raw);
	request->remote = extract->remote;
	request->filter = task->filter;
	request->deleted = etl_deletes_condition(task);
	request->lower = extract->bounds.lower;
	request->null_cursors = etl_null_cursor_wanted(extract);
	request->max_rows = task->chunk_rows > 0 ? task->chunk_rows : etl_chunk_rows;
	request->context = extract->context;
	request->by_key = etl_feed_find(extract->source->fdw) == NULL && etl_whole_is_due(extract);
}

/* write_local writes the page of the query reader. */
static void
write_local(EtlExtractPlan *plan)
{
	const EtlReadRequest *request = &plan->extract.request;
	const EtlTask *task = request->task;
	EtlPage *page = &plan->page;

	page->filter = request->filter;
	page->deleted = request->deleted;
	page->source = request->source;
	page->map = request->map;
	page->lower = request->lower;
	page->order = palloc(sizeof(EtlColumn *) * (task->primary_key.n + 1));
	if (task->cursor_column)
		page->cursor = etl_relation_column(page->source, task->cursor_column);
	if (page->cursor && task->primary_key.n > 0 && !request->by_key)
		page->order[page->n_order++] = page->cursor;
	for (int i = 0; i < task->primary_key.n; i++)
		if (request->by_key || page->cursor == NULL || strcmp(task->primary_key.name[i], page->cursor->name) != 0)
			page->order[page->n_order++] = etl_relation_column(page->source, task->primary_key.name[i]);
	plan->all = etl_page_select(page);
	page->limit = page->n_order > 0 ? 1 + request->max_rows : 0;
	plan->sql = etl_page_select(page);
}

/* write_remote writes the page of a reader of its own. */
static void
write_remote(EtlExtractPlan *plan)
{
	const EtlReadRequest *request = &plan->extract.request;
	const EtlTask *task = request->task;
	const EtlColumn *cursor = task->cursor_column ? etl_relation_column(request->source, task->cursor_column) : NULL;
	const char *why_not = NULL;
	EtlRemotePage page = {.request = request};

	page.base = etl_remote_base_make(request, &why_not);
	if (page.base == NULL)
		elog(ERROR, "no remote query: %s", why_not);
	page.n_select = page.base->n;
	page.select = page.base->column;
	page.order = palloc(sizeof(int) * (task->primary_key.n + 1));
	if (task->primary_key.n > 0)
		page.n_order = etl_remote_page_order(request, !request->by_key, page.order);
	if (cursor && !cursor->not_null && !request->by_key)
		page.nulls = ETL_NULLS_LEFT_OUT;
	plan->all = etl_remote_page_select(&page);
	page.limit = page.n_order > 0 ? 1 + request->max_rows : 0;
	plan->sql = etl_remote_page_select(&page);
}

/* etl_extract_plan_make plans. */
EtlExtractPlan *
etl_extract_plan_make(const EtlTask *task, bool sample)
{
	EtlExtractPlan *plan = palloc0(sizeof(EtlExtractPlan));
	EtlExtract *extract = &plan->extract;
	EtlReader *reader;

	plan->attempt.task = task;
	plan->attempt.context = CurrentMemoryContext;
	extract->attempt = &plan->attempt;
	extract->context = CurrentMemoryContext;
	extract->columns = task->columns;
	extract->raw = etl_relation_find(task->target);
	extract->source = etl_relation_describe(etl_relation_find(task->source), &task->columns);
	extract->remote = etl_remote_make(extract->source, &extract->remote_why);
	fill_request(plan, task, sample);
	plan->is_feed = etl_feed_find(extract->source->fdw) != NULL;
	if (plan->is_feed)
		return plan;
	reader = etl_reader_open_own(&extract->request, &plan->reason);
	plan->is_own = reader != NULL;
	plan->reader = reader ? reader->routine->name : etl_query_reader.name;
	if (reader)
		reader->routine->close(reader);
	if (plan->is_own)
		write_remote(plan);
	else
		write_local(plan);
	return plan;
}

/* etl_extract_plan_end closes the connection. */
void
etl_extract_plan_end(EtlExtractPlan *plan)
{
	etl_remote_close(plan->extract.remote);
	plan->extract.remote = NULL;
}

/* find_rows takes the first number behind one of the names that planners give to their estimate. */
static double
find_rows(const char *explained)
{
	static const char *const names[] = {"\"Plan Rows\":", "\"rows\":", "\"rows_examined_per_scan\":"};

	for (int i = 0; explained && i < lengthof(names); i++)
	{
		const char *found = strstr(explained, names[i]);

		if (found)
			return strtod(found + strlen(names[i]), NULL);
	}
	return -1;
}

/* ask_source connects and asks the source's planner. */
static double
ask_source(EtlExtractPlan *plan)
{
	EtlRemote *remote = plan->extract.remote;
	bool is_mysql = remote->routine->kind == ETL_REMOTE_MYSQL;
	char *sql = plan->all;
	char **row;

	if (!plan->is_own)
	{
		EtlPlanFacts facts;

		etl_plan_probe(sql, &facts);
		sql = facts.remote_sql;
	}
	etl_remote_connect(remote);
	row = sql ? etl_remote_row(remote, psprintf("EXPLAIN %s %s", is_mysql ? "FORMAT=JSON" : "(FORMAT JSON)", sql), 1)
			  : NULL;
	return row ? find_rows(row[0]) : -1;
}

/* etl_extract_plan_rows asks in a subtransaction, so that an error is only something to tell. */
double
etl_extract_plan_rows(EtlExtractPlan *plan, const char **why_not)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile double rows = -1;

	if (plan->extract.remote == NULL)
		return find_rows(etl_sql_text(psprintf("EXPLAIN (FORMAT JSON) %s", plan->all)));
	*why_not = "the source does not say";
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		rows = ask_source(plan);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		*why_not = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return rows;
}

/* Lines of an answer. */
typedef struct Lines
{
	List *list;
	MemoryContext context;
} Lines;

/* take_line adds a line. */
static void
take_line(char *const *value, void *arg)
{
	Lines *lines = arg;
	MemoryContext old = MemoryContextSwitchTo(lines->context);

	lines->list = lappend(lines->list, pstrdup(value[0]));
	MemoryContextSwitchTo(old);
}

/* etl_extract_plan_remote shows the plan of PostgreSQL as text; that of MySQL is a table of ten or twelve columns. */
List *
etl_extract_plan_remote(EtlExtractPlan *plan)
{
	Lines lines = {NIL, CurrentMemoryContext};

	if (plan->extract.remote->routine->kind == ETL_REMOTE_POSTGRES)
		(void) etl_remote_query(plan->extract.remote, psprintf("EXPLAIN %s", plan->sql), 1, take_line, &lines);
	else
		(void) etl_remote_query(plan->extract.remote, psprintf("EXPLAIN FORMAT=JSON %s", plan->sql), 1, take_line,
								&lines);
	return lines.list;
}
