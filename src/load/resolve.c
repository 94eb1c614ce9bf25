/*
 * resolve.c
 *		Looks up the keys of dimensions for the rows of a run. See resolve.h.
 *
 * Members are inferred under the lock that a load of the dimension takes, and looked for once more when it is held, so that
 * two facts, or a fact and the load of the dimension, never make the same member twice. Locks are taken in the order of
 * their Oids and only when something is missing. Dimensions whose members may be inferred come first: what is inferred for
 * one column is known for the others.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "load/bisect.h"
#include "load/capture.h"
#include "load/dml.h"
#include "load/lookup.h"
#include "load/reject.h"
#include "load/resolve.h"
#include "load/target.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* Rows that are put aside at a time. */
#define REJECT_ROWS 100

typedef struct Resolve
{
	EtlDelta *delta;
	EtlLookup lookup;
	int64 rows;			   /* of the stage */
	int64 *missing;		   /* members of each dimension that it does not have */
	char **unstorable;	   /* why it cannot take some of them; NULL: it has all of them now */
	StringInfo before;	   /* statements that were executed, for etl.task_run */
	MemoryContext context; /* of the run */
	int current;		   /* dimension whose members are inferred */
	int64 last;			   /* members of the last piece */
} Resolve;

/* suffix_of returns the suffix of the run's tables. */
static char *
suffix_of(const EtlAttempt *attempt)
{
	return psprintf("_" INT64_FORMAT, attempt->task_run_id);
}

/* table returns a table of the run. */
static char *
table(const Resolve *resolve, const char *kind, int i)
{
	return etl_lookup_table(&resolve->lookup, kind, i);
}

/* create executes a statement that creates a table, tells the planner about it and returns its rows. */
static int64
create(const Resolve *resolve, const char *statement, const char *kind, int i)
{
	int64 rows = (int64) etl_sql_exec(statement, SPI_OK_UTILITY);

	(void) etl_sql_exec(psprintf("ANALYZE %s", table(resolve, kind, i)), SPI_OK_UTILITY);
	return rows;
}

/* remember adds a statement to those that the attempt shows. */
static char *
remember(Resolve *resolve, char *statement)
{
	appendStringInfo(resolve->before, "%s;\n\n", statement);
	return statement;
}

/* make_stage evaluates the query with the search_path of its author. */
static void
make_stage(Resolve *resolve)
{
	int level = etl_attempt_author_path(resolve->delta->plan->task);
	char *statement = remember(resolve, etl_lookup_stage(&resolve->lookup, resolve->delta->query));

	resolve->rows = (int64) etl_sql_exec(statement, SPI_OK_UTILITY);
	AtEOXact_GUC(true, level);
	(void) etl_sql_exec(psprintf("ANALYZE %s", table(resolve, "stage", -1)), SPI_OK_UTILITY);
}

/* count returns how many rows a table of a dimension has for which a condition holds. */
static int64
count(const Resolve *resolve, const char *kind, int i, const char *condition)
{
	int64 rows = 0;

	(void) etl_sql_int64(
		psprintf("SELECT pg_catalog.count(*) FROM %s AS s WHERE %s", table(resolve, kind, i), condition), &rows);
	return rows;
}

/* find_members notes which members the rows need, looks them up, and counts those that are not there. */
static void
find_members(Resolve *resolve, int i)
{
	int64 members = create(resolve, remember(resolve, etl_lookup_members(&resolve->lookup, i)), "member", i);

	(void) create(resolve, remember(resolve, etl_lookup_versions(&resolve->lookup, i)), "lookup", i);
	resolve->missing[i] = members - count(resolve, "lookup", i, "s.is_first");
}

/* infer_piece inserts missing members with numbers from low to high. */
static void
infer_piece(void *arg, int64 low, int64 high)
{
	Resolve *resolve = arg;
	char *condition = psprintf(" WHERE m._etl_n >= " INT64_FORMAT " AND m._etl_n <= " INT64_FORMAT, low, high);

	resolve->last = etl_dml_run(etl_lookup_infer(&resolve->lookup, resolve->current, condition)).inserted;
}

/* accept_piece counts members that were inserted. */
static void
accept_piece(void *arg)
{
	Resolve *resolve = arg;

	etl_attempt_count(resolve->delta->attempt, "inferred_members", resolve->last);
	etl_capture_miss(resolve->delta->attempt, resolve->delta->plan->dimension[resolve->current].name, resolve->last);
}

/* reject_member keeps the first reason why the dimension cannot take a member. */
static void
reject_member(void *arg, int64 row, const ErrorData *error)
{
	Resolve *resolve = arg;

	if (resolve->unstorable[resolve->current] == NULL)
		resolve->unstorable[resolve->current] = MemoryContextStrdup(resolve->context, error->message);
}

/* look_again looks for the members that were missing; those of them that are there now are no longer. */
static void
look_again(Resolve *resolve, int i)
{
	if (etl_dml_run(etl_lookup_again(&resolve->lookup, i)).inserted > 0)
		resolve->missing[i] -= etl_dml_run(etl_lookup_forget(&resolve->lookup, i)).deleted;
}

/* infer_members makes the members of one dimension that are still missing now that its lock is held. */
static void
infer_members(Resolve *resolve, int i)
{
	EtlBisect bisect = {infer_piece, accept_piece, reject_member, resolve};
	int64 rows = create(resolve, remember(resolve, etl_lookup_missing(&resolve->lookup, i)), "missing", i);

	resolve->current = i;
	look_again(resolve, i);
	if (resolve->missing[i] > 0)
	{
		(void) remember(resolve, etl_lookup_infer(&resolve->lookup, i, ""));
		etl_bisect_run(&bisect, 1, rows);
		look_again(resolve, i);
	}
	if (resolve->missing[i] == 0)
		resolve->unstorable[i] = NULL;
	etl_delta_drop(table(resolve, "missing", i));
}

/* compare_oids orders Oids for list_sort. */
static int
compare_oids(const ListCell *left, const ListCell *right)
{
	return lfirst_oid(left) < lfirst_oid(right) ? -1 : lfirst_oid(left) > lfirst_oid(right);
}

/* lock_dimensions locks those that need members. */
static void
lock_dimensions(const Resolve *resolve)
{
	const EtlPlan *plan = resolve->delta->plan;
	List *oids = NIL;
	ListCell *cell;

	for (int i = 0; i < plan->n_dimensions; i++)
		if (plan->dimension[i].missing == ETL_MISSING_INFERRED && resolve->missing[i] > 0)
			oids = list_append_unique_oid(oids, plan->dimension[i].relation);
	list_sort(oids, compare_oids);
	foreach (cell, oids)
		etl_target_lock(lfirst_oid(cell));
}

/* find_all looks up the members of all dimensions. */
static void
find_all(Resolve *resolve)
{
	const EtlPlan *plan = resolve->delta->plan;

	for (int i = 0; i < plan->n_dimensions; i++)
		if (plan->dimension[i].missing == ETL_MISSING_INFERRED)
			find_members(resolve, i);
	lock_dimensions(resolve);
	for (int i = 0; i < plan->n_dimensions; i++)
		if (plan->dimension[i].missing == ETL_MISSING_INFERRED && resolve->missing[i] > 0)
			infer_members(resolve, i);
	for (int i = 0; i < plan->n_dimensions; i++)
		if (plan->dimension[i].missing != ETL_MISSING_INFERRED)
			find_members(resolve, i);
}

/* reject_some puts the refused rows aside for which a condition holds, a few at a time. */
static void
reject_some(Resolve *resolve, int i, EtlReject *reject, const char *condition, int64 rows)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "etl_ext reject", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);

	reject->table = table(resolve, "refused", i);
	reject->columns = etl_lookup_columns(&resolve->lookup, "s.", false);
	for (int64 low = 0; low < rows; low += REJECT_ROWS)
	{
		CHECK_FOR_INTERRUPTS();
		etl_reject_rows(resolve->delta, reject,
						psprintf("%s AND s._etl_n > " INT64_FORMAT " AND s._etl_n <= " INT64_FORMAT, condition, low,
								 low + REJECT_ROWS));
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* refuse_rows moves the rows without a member to etl.quarantine, where that is asked for or the member cannot be made. */
static void
refuse_rows(Resolve *resolve, int i)
{
	const EtlDimension *dimension = &resolve->delta->plan->dimension[i];
	bool is_strict = dimension->missing == ETL_MISSING_REJECT;
	EtlReject reject = {.column = dimension->column};
	int64 rows;

	if (!is_strict && resolve->unstorable[i] == NULL)
		return;
	rows = create(resolve, etl_lookup_refused(&resolve->lookup, i, is_strict), "refused", i);
	if (rows > 0)
	{
		reject.sqlstate = "23502";
		reject.reason = psprintf("null value in a column by which \"%s\" is looked up", dimension->column);
		if (is_strict)
			reject_some(resolve, i, &reject, "s._etl_null", rows);
		reject.sqlstate = "23503";
		reject.reason = psprintf("dimension %s has no such member, for column \"%s\"", dimension->name,
								 dimension->column);
		if (!is_strict)
			reject.reason = psprintf("dimension %s cannot take the member, for column \"%s\": %s", dimension->name,
									 dimension->column, resolve->unstorable[i]);
		reject_some(resolve, i, &reject, "NOT s._etl_null", rows);
		(void) etl_dml_run(etl_lookup_refuse(&resolve->lookup, i));
		resolve->rows -= rows;
		resolve->delta->set_aside += rows;
	}
	etl_delta_drop(table(resolve, "refused", i));
}

/* count_rows counts what the rows got; as a rule every member is there, and rows with NULL are counted by one look. */
static void
count_rows(const Resolve *resolve, int i)
{
	EtlAttempt *attempt = resolve->delta->attempt;
	int64 found = 0;
	int64 early = 0;

	if (resolve->missing[i] == 0)
		etl_attempt_count(attempt, "unknown_members",
						  count(resolve, "stage", -1, etl_lookup_is_null(&resolve->lookup, i)));
	else if (etl_sql_int64(etl_lookup_found(&resolve->lookup, i), &found))
		etl_attempt_count(attempt, "unknown_members", resolve->rows - found);
	if (resolve->delta->plan->dimension[i].has_at && etl_sql_int64(etl_lookup_early(&resolve->lookup, i), &early))
		etl_attempt_count(attempt, "early_facts", early);
}

/* etl_resolve_run evaluates the query and looks the keys up. */
void
etl_resolve_run(EtlDelta *delta)
{
	int n = delta->plan->n_dimensions;
	Resolve resolve = {
		.delta = delta, .lookup = {delta->plan, suffix_of(delta->attempt)}, .context = CurrentMemoryContext};

	if (n == 0)
		return;
	resolve.missing = palloc0(sizeof(int64) * n);
	resolve.unstorable = palloc0(sizeof(char *) * n);
	resolve.before = makeStringInfo();
	make_stage(&resolve);
	find_all(&resolve);
	for (int i = 0; i < n; i++)
		refuse_rows(&resolve, i);
	for (int i = 0; i < n; i++)
		count_rows(&resolve, i);
	delta->query = etl_lookup_query(&resolve.lookup);
	delta->before = resolve.before->data;
}

/* etl_resolve_done drops what etl_resolve_run leaves. */
void
etl_resolve_done(EtlDelta *delta)
{
	EtlLookup lookup = {delta->plan, suffix_of(delta->attempt)};

	for (int i = 0; i < delta->plan->n_dimensions; i++)
	{
		etl_delta_drop(etl_lookup_table(&lookup, "member", i));
		etl_delta_drop(etl_lookup_table(&lookup, "lookup", i));
	}
	if (delta->plan->n_dimensions > 0)
		etl_delta_drop(etl_lookup_table(&lookup, "stage", -1));
}

/* describe returns a comment about one dimension. */
static char *
describe(const EtlDimension *dimension)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "-- %s: looked up in %s by", quote_identifier(dimension->column), dimension->name);
	for (int i = 0; i < dimension->n_by; i++)
		appendStringInfo(&text, "%s %s", i > 0 ? "," : "", dimension->by[i].query.quoted);
	if (dimension->has_at)
		appendStringInfo(&text, ", the version of %s", dimension->at.quoted);
	else if (dimension->is_versioned)
		appendStringInfoString(&text, ", the current version");
	switch (dimension->missing)
	{
		case ETL_MISSING_UNKNOWN:
			appendStringInfoString(&text, "; without a member " ETL_DIMENSION_UNKNOWN ".\n");
			break;
		case ETL_MISSING_INFERRED:
			appendStringInfoString(&text, "; missing members are inferred.\n");
			break;
		case ETL_MISSING_REJECT:
			appendStringInfoString(&text, "; rows without a member go to etl.quarantine.\n");
			break;
		case ETL_MISSING_NULL:
			appendStringInfoString(&text, "; without a member NULL.\n");
			break;
	}
	return text.data;
}

/* etl_resolve_explain shows the statements in the order of a run. */
char *
etl_resolve_explain(const EtlPlan *plan, char **query)
{
	EtlLookup lookup = {plan, ""};
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < plan->n_dimensions; i++)
		appendStringInfoString(&text, describe(&plan->dimension[i]));
	appendStringInfo(&text, "%s;\n", etl_lookup_stage(&lookup, *query));
	for (int i = 0; i < plan->n_dimensions; i++)
	{
		appendStringInfo(&text, "%s;\n%s;\n", etl_lookup_members(&lookup, i), etl_lookup_versions(&lookup, i));
		if (plan->dimension[i].missing == ETL_MISSING_INFERRED)
			appendStringInfo(&text, "%s;\n%s;\n", etl_lookup_missing(&lookup, i), etl_lookup_infer(&lookup, i, ""));
	}
	*query = etl_lookup_query(&lookup);
	return text.data;
}
