/*
 * evaluate.c
 *		Quality checks: their evaluation, problems and plan. See check.h.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "compat.h"
#include "dag/lineage.h"
#include "dag/statement.h"
#include "executor/spi.h"
#include "load/bisect.h"
#include "miscadmin.h"
#include "quality/check.h"
#include "quality/measure.h"
#include "quality/sample.h"
#include "quality/verdict.h"
#include "source/relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "worker/attempt.h"

/* etl_check_begin names the check. */
void
etl_check_begin(const EtlTask *task, EtlCheckResult *result)
{
	result->pipeline_id = task->pipeline_id;
	result->task_id = task->task_id;
	result->check_name = task->name;
	result->check_type = task->check_type;
	result->target = task->target;
	result->warn = task->warn;
	result->fail = task->fail;
	/* What stands if the evaluation ends in an exception. */
	result->state = ETL_CHECK_ERROR;
	result->message = "the check could not be evaluated";
}

/* etl_check_judge is also for what was measured otherwise. */
void
etl_check_judge(const EtlProbe *probe, EtlCheckResult *result)
{
	const EtlTask *task = probe->task;
	EtlVerdictInput input = {
		.probe = probe,
		.warn = etl_threshold_parse(task->warn, "warn", task->check_type),
		.fail = etl_threshold_parse(task->fail, "fail", task->check_type),
	};

	etl_verdict_reach(&input, result);
}

/* Checks of one table that are evaluated together. */
typedef struct Together
{
	const EtlTask **task;
	EtlCheckResult **result;
	int n;
	MemoryContext context; /* of the results */
} Together;

/* Rows at fault that are looked for. */
typedef struct Samples
{
	const EtlProbe *probe;
	EtlCheckResult *result;
} Samples;

/* find_samples is for etl_bisect_catch. */
static void
find_samples(void *arg)
{
	Samples *samples = arg;

	samples->result->samples = etl_sample_rows(samples->probe, samples->result->run_id);
}

/*
 * add_samples adds rows at fault to a result. Who may read the columns of the check need not be able to read the key, or
 * the raw table: then there are none, and the result stands.
 */
static void
add_samples(const EtlProbe *probe, EtlCheckResult *result)
{
	Samples samples = {probe, result};

	if (etl_bisect_catch(find_samples, &samples) != NULL)
		result->samples = NULL;
}

/* evaluate_group measures by one scan and judges each; the author's search_path is the same for all. */
static void
evaluate_group(void *arg)
{
	Together *group = arg;
	MemoryContext caller = MemoryContextSwitchTo(group->context);
	EtlProbe *probe = palloc(sizeof(EtlProbe) * group->n);
	int path = etl_attempt_author_path(group->task[0]);
	char *sql;

	for (int i = 0; i < group->n; i++)
		etl_check_begin(group->task[i], group->result[i]);
	for (int i = 0; i < group->n; i++)
		etl_measure_prepare(&probe[i], group->task[i], group->result[i]->run_id, group->result[i]->rolls_back);
	sql = etl_measure_sql(probe, group->n);
	etl_measure_run(probe, group->n);
	for (int i = 0; i < group->n; i++)
	{
		EtlCheckResult *result = group->result[i];
		char *own = etl_measure_own_sql(&probe[i]);

		result->sql = own ? own : sql;
		etl_check_judge(&probe[i], result);
		if (result->state == ETL_CHECK_WARN || result->state == ETL_CHECK_FAIL)
			add_samples(&probe[i], result);
	}
	AtEOXact_GUC(true, path);
	MemoryContextSwitchTo(caller);
}

/* etl_check_goes_with says whether two checks mean the same by the same names, and look at the same table. */
bool
etl_check_goes_with(const EtlTask *one, const EtlTask *other)
{
	return strcmp(one->target, other->target) == 0 && one->owner == other->owner &&
		   strcmp(one->search_path, other->search_path) == 0;
}

/* evaluate_each evaluates the checks of a group one by one, so that each one's error is its own. */
static void
evaluate_each(const Together *group)
{
	for (int i = 0; i < group->n; i++)
		group->result[i]->check_name = NULL;
	for (int i = 0; i < group->n; i++)
	{
		Together one = {&group->task[i], &group->result[i], 1, group->context};

		CHECK_FOR_INTERRUPTS();
		evaluate_group(&one);
	}
}

/* etl_check_evaluate puts those that go together into groups. */
void
etl_check_evaluate(const EtlTask **task, EtlCheckResult **result, int n)
{
	bool *done = palloc0(sizeof(bool) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		Together group = {palloc(sizeof(EtlTask *) * n), palloc(sizeof(EtlCheckResult *) * n), 0, CurrentMemoryContext};

		for (int j = i; j < n; j++)
		{
			if (done[j] || !etl_check_goes_with(task[i], task[j]))
				continue;
			group.task[group.n] = task[j];
			group.result[group.n++] = result[j];
			done[j] = true;
		}
		if (group.n == 1)
			evaluate_group(&group);
		else if (group.n > 1 && etl_bisect_catch(evaluate_group, &group) != NULL)
			evaluate_each(&group);
	}
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

/* etl_check_queries analyzes the scan and the query that it needs beside it. */
List *
etl_check_queries(const EtlTask *task)
{
	List *queries = NIL;
	EtlProbe probe;
	char *sql[2];

	etl_measure_describe(&probe, task, 0);
	sql[0] = etl_measure_sql(&probe, 1);
	sql[1] = etl_measure_own_sql(&probe);
	for (int i = 0; i < lengthof(sql); i++)
		if (sql[i] != NULL)
			queries = lappend(queries,
							  etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql[i])), sql[i]));
	return queries;
}

/* etl_check_reads: of a check of type schema, what it looks at all the same. */
EtlNames
etl_check_reads(const EtlTask *task)
{
	List *queries = etl_check_queries(task);
	EtlNames target = {0, palloc0(sizeof(char *))};

	if (queries != NIL)
		return etl_lineage_reads_all(queries);
	target.name[target.n++] = task->target;
	return target;
}

/* analyze_as_author is for etl_bisect_catch. */
static void
analyze_as_author(void *arg)
{
	const EtlTask *task = arg;
	int path = etl_attempt_author_path(task);

	(void) etl_check_queries(task);
	AtEOXact_GUC(true, path);
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
	ErrorData *error;

	if (!OidIsValid(relation))
		return etl_problem_add(
			NIL, true, psprintf("%s does not exist.", task->target),
			pstrdup("Create it again, change the check with etl.alter_task(target => ...), or drop it with "
					"etl.drop_task."));
	problems = list_concat(privilege_problems(task, relation), column_problems(task, relation));
	if (problems != NIL)
		return problems;
	error = etl_bisect_catch(analyze_as_author, unconstify(EtlTask *, task));
	if (error)
		problems = etl_problem_add(problems, true,
								   psprintf("The check's query cannot be executed: %s.", error->message),
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

/* add_plan appends a query and its plan. Its own SPI code, because a plan has several rows. */
static List *
add_plan(List *lines, char *sql)
{
	MemoryContext caller = CurrentMemoryContext;

	if (sql == NULL)
		return lines;
	lines = add_lines(lines, sql);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(psprintf("EXPLAIN %s", sql), false, 0) != SPI_OK_UTILITY)
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
	return lines;
}

/* etl_check_explain returns the queries and their plans. */
List *
etl_check_explain(const EtlTask *task)
{
	int path = etl_attempt_author_path(task);
	EtlProbe probe;
	List *lines;

	etl_measure_prepare(&probe, task, 0, false);
	lines = add_plan(NIL, etl_measure_sql(&probe, 1));
	lines = add_plan(lines, etl_measure_own_sql(&probe));
	if (lines == NIL)
		lines = lappend(lines, psprintf("The columns of %s are compared; no row is read.", task->target));
	AtEOXact_GUC(true, path);
	return lines;
}
