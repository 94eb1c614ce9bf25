/*
 * extract_check.c
 *		What is wrong with an extract now. See extract.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "api/problem.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "feed/extract.h"
#include "feed/feed.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "source/commit_bound.h"
#include "source/extract.h"
#include "source/extract_plan.h"
#include "source/raw_table.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

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

/* has_mapping looks for the user mapping of the source's server. */
static bool
has_mapping(const EtlSource *source)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(GetUserId()),
								 ObjectIdGetDatum(source->server)) ||
		   SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(source->server));
}

/* add_mapping asks for it; without it nothing else can be looked at. */
static List *
add_mapping(List *problems, const EtlSource *source)
{
	const char *user = quote_identifier(GetUserNameFromId(GetUserId(), false));
	const char *name = quote_identifier(source->server_name);

	return etl_problem_add(
		problems, true, psprintf("Role %s has no user mapping for server %s of source %s.", user, name, source->name),
		psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (...);", user, name));
}

/* check_fetch looks at the options of the source's server that matter when the wrapper reads. */
static List *
check_fetch(List *problems, const EtlSource *source)
{
	ForeignServer *server = GetForeignServer(source->server);
	ForeignTable *table = GetForeignTable(source->oid);
	const char *name = quote_identifier(server->servername);
	const char *init = "";

	if ((strcmp(source->fdw, "postgres_fdw") == 0 || strcmp(source->fdw, "mysql_fdw") == 0) &&
		!has_option(server->options, "fetch_size", NULL) && !has_option(table->options, "fetch_size", NULL))
		problems = etl_problem_add(problems, false, psprintf("Server %s fetches 100 rows at a time.", name),
								   psprintf("ALTER SERVER %s OPTIONS (ADD fetch_size '10000');", name));
	if (strcmp(source->fdw, "mysql_fdw") == 0 &&
		(!has_option(server->options, "init_command", &init) || strstr(init, "time_zone") == NULL))
		problems = etl_problem_add(
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
	return etl_problem_add(
		problems, false,
		psprintf("mysql_fdw sends values for cursor_column \"%s\" with an offset (+00), for which MySQL"
				 " and MariaDB read the whole table instead of an index.",
				 cursor->name),
		psprintf("ALTER FOREIGN TABLE %s ALTER COLUMN %s TYPE timestamp; the values are then in UTC.", source->name,
				 quote_identifier(cursor->name)));
}

/* tell_not_sent reports a condition that the wrapper does not send: that on the cursor makes the extract useless. */
static List *
tell_not_sent(List *problems, EtlExtractPlan *plan, const char *remote)
{
	const char *cursor = plan->attempt.task->cursor_column;
	EtlPage page = plan->page;
	EtlPlanFacts facts;

	page.filter = NULL;
	etl_plan_probe(etl_page_select(&page), &facts);
	if (cursor && facts.local_filter)
		return etl_problem_add(
			problems, true,
			psprintf("The condition on cursor_column \"%s\" is not sent to the source, which is read whole each time"
					 " (reader %s: %s): %s",
					 cursor, plan->reader, plan->reason, remote),
			pstrdup("Give the foreign column the type that it has in the source."));
	return etl_problem_add(problems, false,
						   psprintf("The filter is not sent to the source; rows are thrown away here: %s", remote),
						   pstrdup("Use operators and functions that the foreign data wrapper sends."));
}

/* check_pages looks at what the query reader would send to a foreign source. */
static List *
check_pages(List *problems, EtlExtractPlan *plan)
{
	const EtlTask *task = plan->attempt.task;
	EtlPlanFacts facts;

	etl_plan_probe(plan->sql, &facts);
	if (!facts.foreign)
		return problems;
	if (facts.local_filter)
		problems = tell_not_sent(problems, plan, facts.remote_sql ? facts.remote_sql : "no remote SQL");
	if (plan->page.n_order > 0 && facts.local_sort)
	{
		etl_plan_leave_sorting();
		etl_plan_probe(plan->sql, &facts);
		if (facts.local_sort)
			problems = etl_problem_add(
				problems, false,
				psprintf("The order of the pages is not sent to source %s, which is read in one piece.", task->source),
				pstrdup("Use a primary_key of numbers or times, and check the types of the foreign columns."));
	}
	return problems;
}

/* check_plan looks at how the source would be asked; a reader of its own sends all conditions and orders itself. */
static List *
check_plan(List *problems, const EtlTask *task)
{
	EtlExtractPlan *plan = etl_extract_plan_make(task, true);
	EtlSource *source = plan->extract.source;

	if (plan->is_feed)
		problems = list_concat(problems, etl_feed_extract_problems(&plan->extract.request));
	else if (!plan->is_own)
	{
		if (OidIsValid(source->server))
			problems = check_mysql_cursor(check_fetch(problems, source), task, source);
		if (plan->extract.remote && (task->reader == NULL || strcmp(task->reader, "query") != 0))
			problems = etl_problem_add(
				problems, false,
				psprintf("Source %s is read through %s, which is slower than a connection of our own: %s.",
						 source->name, source->fdw, plan->reason),
				pstrdup("reader => 'query' if this is what you want."));
		problems = check_pages(problems, plan);
	}
	etl_extract_plan_end(plan);
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
		return etl_problem_add(
			problems, true,
			psprintf("Source %s has no column \"%s\" any more (cursor_column).", source->name, task->cursor_column),
			pstrdup("Name another cursor_column with etl.alter_task."));
	for (int i = 0; i < task->primary_key.n; i++)
		if (etl_relation_column(source, task->primary_key.name[i]) == NULL)
			return etl_problem_add(problems, true,
								   psprintf("Source %s has no column \"%s\" any more (primary_key).", source->name,
											task->primary_key.name[i]),
								   pstrdup("Name another primary_key with etl.alter_task."));
	if (task->primary_key.n == 0 && etl_feed_find(source->fdw) == NULL)
		problems = etl_problem_add(
			problems, false,
			psprintf("Extract \"%s\" has no primary_key: each run is one transaction as large as what it"
					 " reads.",
					 task->name),
			pstrdup("Name the key of the source: primary_key => '{...}'."));
	problem = etl_commit_bound_problem(task, source);
	if (problem)
		problems = etl_problem_add(
			problems, false, problem,
			pstrdup("With a cursor that is a time, set lag to the longest time that a transaction of"
					" the source takes."));
	/* Feeds know by themselves whether they need one. */
	if (OidIsValid(source->server) && !has_mapping(source) && etl_feed_find(source->fdw) == NULL)
		return add_mapping(problems, source);
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
		return etl_problem_add(NIL, true, psprintf("Source %s does not exist any more.", task->source),
							   pstrdup("Create it again, or name another one with etl.alter_task."));
	if (!OidIsValid(raw))
		return etl_problem_add(NIL, true, psprintf("Raw table %s does not exist any more.", task->target),
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
		problems = etl_problem_add(problems, true,
								   psprintf("Extract \"%s\" cannot run: %s%s%s", task->name, error->message,
											error->detail ? ". " : ".", error->detail ? error->detail : ""),
								   error->hint);
	}
	PG_END_TRY();
	return problems;
}
