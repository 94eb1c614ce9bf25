/*
 * problem.c
 *		What etl.validate reports about a definition. See problem.h.
 */
#include "postgres.h"

#include "api/problem.h"

/* etl_problem_add makes one. */
List *
etl_problem_add(List *problems, bool is_error, char *problem, char *hint)
{
	EtlProblem *entry = palloc(sizeof(EtlProblem));

	entry->is_error = is_error;
	entry->problem = problem;
	entry->hint = hint;
	return lappend(problems, entry);
}
