/*
 * evaluate.c
 *		Quality checks: their evaluation, problems and plan. See check.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "compat.h"
#include "dag/statement.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "quality/check.h"
#include "quality/measure.h"
#include "quality/verdict.h"
#include "source/relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/resowner.h"
#include "worker/attempt.h"

/* etl_check_evaluate measures and judges. */
void
etl_check_evaluate(const EtlTask *task, EtlCheckResult *result)
{
	EtlVerdictInput input = {.task = task};
	int path;

	result->pipeline_id = task->pipeline_id;
	result->task_id = task->task_id;
	result->check_name = task->name;
	result->check_type = task->check_type;
	result->target = task->target;
	result->warn = task->warn;
	result->fail = task->fail;
	result->sql = etl_measure_sql(task);
	input.warn = etl_threshold_parse(task->warn, "warn", task->check_type);
	input.fail = etl_threshold_parse(task->fail, "fail", task->check_type);

	path = etl_attempt_author_path(task);
	etl_measure_run(task, result->sql, &input.measure);
	AtEOXact_GUC(true, path);

	if (strcmp(task->check_type, "row_count_variance") == 0)
		input.has_baseline = etl_check_result_baseline(task->task_id, result->run_id, !result->rolls_back,
													   &input.baseline);
	etl_verdict_reach(&input, result);
}

/* privilege_problems looks for rights that the owner lacks. */
static List *
privilege_problems(const EtlTask *task, Oid relation)
{
	Oid schema = get_rel_namespace(relation);
	List *problems = NIL;

	if (!OidIsValid(task->owner))
		return NIL;
	if (etl_compat_namespace_aclcheck(schema, task->owner, ACL_USAGE) != ACLCHECK_OK)
		problems = etl_problem_add(
			problems, true, psprintf("Role %s may not use schema %s.", task->owner_name, get_namespace_name(schema)),
			psprintf("GRANT USAGE ON SCHEMA %s TO %s;", quote_identifier(get_namespace_name(schema)),
					 task->owner_name));
	if (pg_class_aclcheck(relation, task->owner, ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relation, task->owner, ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		problems = etl_problem_add(problems, true, psprintf("Role %s may not read %s.", task->owner_name, task->target),
								   psprintf("GRANT SELECT ON %s TO %s;", task->target, task->owner_name));
	return problems;
}

/*
 * query_problem analyzes the query of a check under the author's search_path, in a subtransaction, and returns the
 * message of the error, or NULL.
 */
static char *
query_problem(const EtlTask *task)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char *sql = etl_measure_sql(task);
	char *message = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int path = etl_attempt_author_path(task);

		(void) etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql)), sql);
		AtEOXact_GUC(true, path);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			ReThrowError(error);
		message = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return message;
}

/* column_problems looks for columns that are gone. */
static List *
column_problems(const EtlTask *task, Oid relation)
{
	List *problems = NIL;
	EtlSource *target = etl_relation_describe(relation, NULL);

	for (int i = 0; i < task->columns.n; i++)
	{
		if (etl_relation_column(target, task->columns.name[i]) == NULL)
			problems = etl_problem_add(
				problems, true, psprintf("%s has no column \"%s\" any more.", task->target, task->columns.name[i]),
				psprintf("Its columns are: %s. Change the check with etl.alter_task(columns => ...).",
						 etl_relation_column_list(target)));
	}
	return problems;
}

/* target_of finds the target by its full name, whether or not the current user may look into its schema. */
static Oid
target_of(const EtlTask *task)
{
	char *schema;
	char *name;
	Oid namespace;

	DeconstructQualifiedName(etl_compat_qualified_name(task->target), &schema, &name);
	namespace = get_namespace_oid(schema, true);
	return OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;
}

/* etl_check_problems lists what would keep the check from being evaluated. */
List *
etl_check_problems(const EtlTask *task)
{
	Oid relation = target_of(task);
	List *problems;
	char *message;

	if (!OidIsValid(relation))
		return etl_problem_add(
			NIL, true, psprintf("%s does not exist.", task->target),
			pstrdup("Create it again, change the check with etl.alter_task(target => ...), or drop it with "
					"etl.drop_task."));
	problems = list_concat(privilege_problems(task, relation), column_problems(task, relation));
	if (problems != NIL)
		return problems;
	message = query_problem(task);
	if (message)
		problems = etl_problem_add(problems, true, psprintf("The check's query cannot be executed: %s.", message),
								   pstrdup("Change the check with etl.alter_task(expression => ..., filter => ...)."));
	return problems;
}

/* add_lines appends the lines of a text. */
static List *
add_lines(List *lines, const char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(pstrdup(text), "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		lines = lappend(lines, line);
	return lines;
}

/* etl_check_explain returns the query and its plan. Its own SPI code, because a plan has several rows. */
List *
etl_check_explain(const EtlTask *task)
{
	MemoryContext caller = CurrentMemoryContext;
	char *sql = etl_measure_sql(task);
	char *explain = psprintf("EXPLAIN %s", sql);
	List *lines = add_lines(NIL, sql);
	int path = etl_attempt_author_path(task);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(explain, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "EXPLAIN returned no plan");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char *line = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		MemoryContextSwitchTo(caller);
		lines = lappend(lines, pstrdup(line));
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
	AtEOXact_GUC(true, path);
	return lines;
}
