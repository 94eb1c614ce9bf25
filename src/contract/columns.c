/*
 * columns.c
 *		Columns that a contract promises: those that a source has when an extract looks, and NULLs in the rows that it has
 *		read. See contract.h; what becomes of the extract is up to its schema_drift.
 */
#include "postgres.h"

#include "contract/contract.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* has_not_null says whether values are promised, too. */
static bool
has_not_null(const EtlPromisedColumn *promised, int n)
{
	for (int i = 0; i < n; i++)
		if (promised[i].not_null)
			return true;
	return false;
}

/* find_column finds a column by the name that the foreign table, or the source itself, has for it. */
static const EtlDriftColumn *
find_column(const EtlDriftColumns *columns, const char *name)
{
	for (int i = 0; i < columns->n; i++)
		if (columns->column[i].local && strcmp(columns->column[i].local->name, name) == 0)
			return &columns->column[i];
	return etl_drift_columns_find(columns, name);
}

/* add_problem appends to a list in words. */
static void
add_problem(StringInfo problems, const char *problem)
{
	appendStringInfo(problems, "%s%s", problems->len > 0 ? "; " : "", problem);
}

/* find_problems compares the columns. */
static void
find_problems(const EtlContract *contract, const EtlPromisedColumn *promised, int n, const EtlDriftColumns *columns,
			  StringInfo problems)
{
	for (int i = 0; i < n; i++)
	{
		const EtlDriftColumn *column = find_column(columns, promised[i].name);

		if (column == NULL || !column->readable)
			add_problem(problems, psprintf("no column \"%s\"", promised[i].name));
		else if (promised[i].type && pg_strcasecmp(promised[i].type, column->type) != 0 &&
				 pg_strcasecmp(promised[i].type, column->local_type) != 0)
			add_problem(problems, psprintf("column \"%s\" of type %s instead of %s", promised[i].name, column->type,
										   promised[i].type));
	}
	for (int i = 0; i < columns->n && !contract->extra_columns; i++)
	{
		bool found = !columns->column[i].readable;

		for (int j = 0; j < n && !found; j++)
			found = find_column(columns, promised[j].name) == &columns->column[i];
		if (!found)
			add_problem(problems, psprintf("column \"%s\", which was not promised", columns->column[i].name));
	}
}

/* tell_columns records what was found; problems is empty if the promise is kept. */
static void
tell_columns(const EtlContract *contract, const EtlAttempt *attempt, const EtlPromisedColumn *promised, int n,
			 const StringInfo problems)
{
	StringInfoData expected;
	EtlContractResult result = {
		.promise = "columns",
		.due_at = GetCurrentTimestamp(),
		.is_judged = true,
		.kept = problems->len == 0,
		.run_id = attempt->run_id,
		.task_id = attempt->task->task_id,
		.task_run_id = attempt->task_run_id,
	};

	initStringInfo(&expected);
	for (int i = 0; i < n; i++)
		appendStringInfo(&expected, "%s%s%s%s%s", i > 0 ? ", " : "", quote_identifier(promised[i].name),
						 promised[i].type ? " " : "", promised[i].type ? promised[i].type : "",
						 promised[i].not_null ? " not null" : "");
	appendStringInfoString(&expected, contract->extra_columns ? "" : " and no other columns");
	result.expected = expected.data;
	result.measured = problems->len > 0 ? problems->data : "these";
	(void) etl_contract_tell(contract, &result);
}

/* etl_contract_see_columns tells before anything is read: what breaks the promise may break the extract, too. */
void
etl_contract_see_columns(EtlExtract *extract, const EtlDriftColumns *columns)
{
	EtlAttempt *attempt = extract->attempt;
	EtlContract *contract;
	EtlPromisedColumn *promised;
	StringInfoData problems;
	int n;

	if (attempt->is_helper || attempt->is_backfill || columns->n == 0)
		return;
	contract = etl_contract_find(attempt->task->source, false);
	if (contract == NULL || !contract->enabled || contract->columns == NULL)
		return;
	n = etl_contract_columns(contract->columns, &promised);
	initStringInfo(&problems);
	find_problems(contract, promised, n, columns, &problems);
	if (problems.len > 0)
	{
		(void) etl_contract_find(attempt->task->source, true);
		tell_columns(contract, attempt, promised, n, &problems);
		etl_attempt_step(attempt);
	}
	else if (!has_not_null(promised, n))
	{
		(void) etl_contract_find(attempt->task->source, true);
		tell_columns(contract, attempt, promised, n, &problems);
		/* The lock is for a moment, the extract is not. */
		etl_attempt_step(attempt);
	}
}

/* nulls_query counts NULLs in the rows of a run, in one scan of the partitions that have them; NULL: there are none. */
static char *
nulls_query(const EtlAttempt *attempt, const EtlPromisedColumn *promised, int n)
{
	EtlContractRows rows = etl_contract_result_batches(attempt->task->task_id, attempt->run_id);
	StringInfoData sql;
	int wanted = 0;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.concat_ws('; '");
	for (int i = 0; i < n; i++)
	{
		const char *name = quote_identifier(promised[i].name);
		Oid raw = etl_relation_find(attempt->task->target);

		if (!promised[i].not_null || etl_relation_column(etl_relation_describe(raw, NULL), promised[i].name) == NULL)
			continue;
		appendStringInfo(
			&sql,
			", CASE WHEN pg_catalog.count(*) FILTER (WHERE %s IS NULL) OPERATOR(pg_catalog.>) 0 THEN "
			"pg_catalog.count(*) FILTER (WHERE %s IS NULL)::pg_catalog.text OPERATOR(pg_catalog.||) %s END",
			name, name, quote_literal_cstr(psprintf(" x NULL in column \"%s\"", promised[i].name)));
		wanted++;
	}
	appendStringInfo(
		&sql,
		") FROM %s WHERE _etl_batch OPERATOR(pg_catalog.=) ANY ('{%s}'::pg_catalog.int8[]) AND "
		"_etl_loaded_at OPERATOR(pg_catalog.>=) %s::pg_catalog.timestamptz AND _etl_op OPERATOR(pg_catalog.=) 'u'",
		attempt->task->target, rows.batches, quote_literal_cstr(rows.since));
	return wanted > 0 && rows.batches[0] != '\0' ? sql.data : NULL;
}

/* etl_contract_see_rows adds to what was found in the columns what is in the rows. */
void
etl_contract_see_rows(const EtlContract *contract, EtlAttempt *attempt)
{
	EtlPromisedColumn *promised;
	StringInfoData problems;
	char *sql;
	char *found;
	int n;

	if (contract->columns == NULL)
		return;
	n = etl_contract_columns(contract->columns, &promised);
	if (!has_not_null(promised, n) || etl_contract_result_broken_by(contract->contract_id, attempt->task_run_id))
		return;
	initStringInfo(&problems);
	sql = nulls_query(attempt, promised, n);
	found = sql ? etl_sql_text(sql) : NULL;
	if (found)
		appendStringInfoString(&problems, found);
	tell_columns(contract, attempt, promised, n, &problems);
}
