/*
 * extract_check.c
 *		What the next run of an extract would do, and what is wrong with it now. See extract.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "api/problem.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "catalog/spi.h"
#include "foreign/foreign.h"
#include "guc.h"
#include "miscadmin.h"
#include "source/bounds.h"
#include "source/commit_bound.h"
#include "source/extract.h"
#include "source/page.h"
#include "source/plan_probe.h"
#include "source/raw_table.h"
#include "source/stream.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

/* add_problem appends a problem to the list. */
static List *
add_problem(List *list, bool is_error, char *problem, char *hint)
{
	EtlProblem *entry = palloc0(sizeof(EtlProblem));

	entry->is_error = is_error;
	entry->problem = problem;
	entry->hint = hint;
	return lappend(list, entry);
}

/* sample_bound returns a value of a cursor type that stands for a watermark when a plan is looked at. */
static const char *
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

/* make_page builds the first page of the next run; with no watermark, sample stands for it if it is true. */
static void
make_page(EtlPage *page, const EtlTask *task, EtlBounds *bounds, bool sample)
{
	EtlSource *source = etl_relation_describe(etl_relation_find(task->source), &task->columns);

	memset(page, 0, sizeof(*page));
	page->filter = task->filter;
	page->source = source;
	page->map = etl_raw_map_make(source, etl_relation_find(task->target));
	*bounds = etl_bounds_get(task, source, false);
	page->lower = bounds->lower;
	page->order = palloc(sizeof(EtlColumn *) * (task->primary_key.n + 1));
	if (task->cursor_column)
	{
		page->cursor = etl_relation_column(source, task->cursor_column);
		if (page->lower == NULL && sample)
			page->lower = sample_bound(page->cursor->type);
	}
	if (task->primary_key.n == 0)
		return;
	if (page->cursor)
		page->order[page->n_order++] = page->cursor;
	for (int i = 0; i < task->primary_key.n; i++)
		if (page->cursor == NULL || strcmp(task->primary_key.name[i], page->cursor->name) != 0)
			page->order[page->n_order++] = etl_relation_column(source, task->primary_key.name[i]);
	page->limit = 1 + (task->chunk_rows > 0 ? task->chunk_rows : etl_chunk_rows);
}

/* Lines of a plan, collected in a context that outlives the statement. */
typedef struct Lines
{
	MemoryContext context;
	List *list;
} Lines;

/* take_line adds a line of EXPLAIN. */
static void
take_line(TupleTableSlot *slot, void *arg)
{
	Lines *lines = arg;
	MemoryContext old = MemoryContextSwitchTo(lines->context);

	slot_getallattrs(slot);
	lines->list = lappend(lines->list, text_to_cstring(DatumGetTextPP(slot->tts_values[0])));
	MemoryContextSwitchTo(old);
}

/* etl_extract_explain describes the next run. */
List *
etl_extract_explain(const EtlTask *task)
{
	Lines lines = {CurrentMemoryContext, NIL};
	int level = etl_attempt_author_path(task);
	EtlPlanFacts facts;
	EtlBounds bounds;
	EtlPage page;
	char *sql;

	etl_value_pin_settings();
	if (!OidIsValid(etl_relation_find(task->source)) || !OidIsValid(etl_relation_find(task->target)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("source %s or raw table %s does not exist", task->source, task->target),
						errhint("SELECT * FROM etl.validate(...) lists everything that is wrong with the pipeline.")));
	make_page(&page, task, &bounds, false);
	sql = etl_page_select(&page);
	lines.list = list_make2(psprintf("-- extract %s -> %s", task->source, task->target),
							page.lower ? psprintf("-- watermark %s, lower bound %s", bounds.watermark, page.lower)
									   : pstrdup("-- no watermark: everything is read"));
	lines.list = lappend(lines.list, psprintf("%s;", sql));
	etl_plan_probe(sql, &facts);
	if (facts.foreign && page.n_order > 0)
		etl_plan_leave_sorting();
	(void) etl_stream_query(psprintf("EXPLAIN (VERBOSE) %s", sql), take_line, &lines);
	AtEOXact_GUC(false, level);
	return lines.list;
}

/* has_option says whether a list of options has one of this name; its value goes to value. */
static bool
has_option(List *options, const char *name, const char **value)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
		{
			if (value)
				*value = strVal(option->arg);
			return true;
		}
	}
	return false;
}

/* check_server looks at the user mapping and the options of the source's server. */
static List *
check_server(List *problems, const EtlSource *source)
{
	ForeignServer *server = GetForeignServer(source->server);
	ForeignTable *table = GetForeignTable(source->oid);
	const char *user = quote_identifier(GetUserNameFromId(GetUserId(), false));
	const char *name = quote_identifier(server->servername);
	const char *init = "";

	if (!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(GetUserId()),
							   ObjectIdGetDatum(source->server)) &&
		!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(source->server)))
		problems = add_problem(
			problems, true,
			psprintf("Role %s has no user mapping for server %s of source %s.", user, name, source->name),
			psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (...);", user, name));
	if ((strcmp(source->fdw, "postgres_fdw") == 0 || strcmp(source->fdw, "mysql_fdw") == 0) &&
		!has_option(server->options, "fetch_size", NULL) && !has_option(table->options, "fetch_size", NULL))
		problems = add_problem(problems, false, psprintf("Server %s fetches 100 rows at a time.", name),
							   psprintf("ALTER SERVER %s OPTIONS (ADD fetch_size '10000');", name));
	if (strcmp(source->fdw, "mysql_fdw") == 0 &&
		(!has_option(server->options, "init_command", &init) || strstr(init, "time_zone") == NULL))
		problems = add_problem(
			problems, false,
			psprintf("Server %s does not set the time zone of its sessions: TIMESTAMP columns come in"
					 " the MySQL server's zone and are taken as UTC.",
					 name),
			psprintf("ALTER SERVER %s OPTIONS (%s init_command 'SET time_zone = ''+00:00''');", name,
					 init[0] ? "SET" : "ADD"));
	return problems;
}

/* check_mysql_cursor warns of a cursor whose literals MySQL cannot look up in an index. */
static List *
check_mysql_cursor(List *problems, const EtlTask *task, const EtlSource *source)
{
	const EtlColumn *cursor = task->cursor_column ? etl_relation_column(source, task->cursor_column) : NULL;

	if (strcmp(source->fdw, "mysql_fdw") != 0 || cursor == NULL || cursor->type != TIMESTAMPTZOID)
		return problems;
	return add_problem(problems, false,
					   psprintf("mysql_fdw sends values for cursor_column \"%s\" with an offset (+00), for which MySQL"
								" and MariaDB read the whole table instead of an index.",
								cursor->name),
					   psprintf("ALTER FOREIGN TABLE %s ALTER COLUMN %s TYPE timestamp; the values are then in UTC.",
								source->name, quote_identifier(cursor->name)));
}

/* check_plan looks at what the page query sends to a foreign source. */
static List *
check_plan(List *problems, const EtlTask *task)
{
	EtlPlanFacts facts;
	EtlBounds bounds;
	EtlPage page;
	bool paged;

	make_page(&page, task, &bounds, true);
	paged = page.n_order > 0;
	etl_plan_probe(etl_page_select(&page), &facts);
	if (!facts.foreign)
		return problems;
	if (facts.local_filter && task->cursor_column)
	{
		char *remote = facts.remote_sql;

		page.filter = NULL;
		etl_plan_probe(etl_page_select(&page), &facts);
		if (facts.local_filter)
			problems = add_problem(
				problems, true,
				psprintf("The condition on cursor_column \"%s\" is not sent to the source, which is read"
						 " whole each time: %s",
						 task->cursor_column, remote ? remote : "no remote SQL"),
				pstrdup("Give the foreign column the type that it has in the source."));
		else
			problems = add_problem(problems, false,
								   psprintf("The filter is not sent to the source; rows are thrown away here: %s",
											remote ? remote : "no remote SQL"),
								   pstrdup("Use operators and functions that the foreign data wrapper sends."));
	}
	else if (facts.local_filter)
		problems = add_problem(problems, false,
							   psprintf("The filter is not sent to the source; rows are thrown away here: %s",
										facts.remote_sql ? facts.remote_sql : "no remote SQL"),
							   pstrdup("Use operators and functions that the foreign data wrapper sends."));
	if (paged && facts.local_sort)
	{
		etl_plan_leave_sorting();
		etl_plan_probe(etl_page_select(&page), &facts);
	}
	if (paged && facts.local_sort)
		problems = add_problem(
			problems, false,
			psprintf("The order of the pages is not sent to source %s, which is read in one piece.", task->source),
			pstrdup("Use a primary_key of numbers or times, and check the types of the foreign columns."));
	return problems;
}

/* look_closely makes the checks that raise errors; called in a subtransaction. */
static List *
look_closely(List *problems, const EtlTask *task, Oid relid, Oid raw)
{
	EtlSource *source = etl_relation_describe(relid, &task->columns);
	char *problem;

	etl_relation_check_select(source);
	etl_raw_table_check(raw, task, source);
	if (task->cursor_column && etl_relation_column(source, task->cursor_column) == NULL)
		return add_problem(
			problems, true,
			psprintf("Source %s has no column \"%s\" any more (cursor_column).", source->name, task->cursor_column),
			pstrdup("Name another cursor_column with etl.alter_task."));
	for (int i = 0; i < task->primary_key.n; i++)
		if (etl_relation_column(source, task->primary_key.name[i]) == NULL)
			return add_problem(problems, true,
							   psprintf("Source %s has no column \"%s\" any more (primary_key).", source->name,
										task->primary_key.name[i]),
							   pstrdup("Name another primary_key with etl.alter_task."));
	if (OidIsValid(source->server))
		problems = check_mysql_cursor(check_server(problems, source), task, source);
	problem = etl_commit_bound_problem(task, source);
	if (problem)
		problems = add_problem(problems, false, problem,
							   pstrdup("Set lag to the longest time that a transaction of the source takes."));
	if (task->primary_key.n == 0)
		problems = add_problem(
			problems, false,
			psprintf("Extract \"%s\" has no primary_key: each run is one transaction as large as what it"
					 " reads.",
					 task->name),
			pstrdup("Name the key of the source: primary_key => '{...}'."));
	return check_plan(problems, task);
}

/* etl_extract_problems turns an error of look_closely into a problem too. */
List *
etl_extract_problems(const EtlTask *task)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	List *volatile problems = NIL;
	Oid relid = etl_relation_find(task->source);
	Oid raw = etl_relation_find(task->target);

	if (!OidIsValid(relid))
		return add_problem(NIL, true, psprintf("Source %s does not exist any more.", task->source),
						   pstrdup("Create it again, or name another one with etl.alter_task."));
	if (!OidIsValid(raw))
		return add_problem(NIL, true, psprintf("Raw table %s does not exist any more.", task->target),
						   pstrdup("etl.alter_task(..., target => ...) creates it again."));
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		int level = etl_attempt_author_path(task);

		etl_value_pin_settings();
		problems = look_closely(problems, task, relid, raw);
		AtEOXact_GUC(false, level);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		problems = add_problem(problems, true,
							   psprintf("Extract \"%s\" cannot run: %s%s%s", task->name, error->message,
										error->detail ? ". " : ".", error->detail ? error->detail : ""),
							   error->hint);
	}
	PG_END_TRY();
	return problems;
}
