/*
 * problem.h
 *		What etl.validate reports about a definition: one problem per entry of a list.
 */
#ifndef ETL_PROBLEM_H
#define ETL_PROBLEM_H

#include "nodes/pg_list.h"

typedef struct EtlProblem
{
	bool is_error; /* false: a warning, the task can run */
	char *problem; /* the fact, a full sentence */
	char *hint;	   /* the next call to make, or NULL */
} EtlProblem;

/* Appends one to a list of EtlProblem; the texts are kept as they are. */
extern List *etl_problem_add(List *problems, bool is_error, char *problem, char *hint);

#endif /* ETL_PROBLEM_H */
