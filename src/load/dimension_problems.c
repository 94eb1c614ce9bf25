/*
 * dimension_problems.c
 *		What is wrong with the dimensions of a fact as things stand now. See dimension.h.
 *
 * That a dimension or a column of it is gone is found when the plan is made; that its owner may not read it, with what
 * else the task reads.
 */
#include "postgres.h"

#include "api/problem.h"
#include "catalog/spi.h"
#include "lib/stringinfo.h"
#include "load/dimension.h"
#include "load/load.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

/* check_right adds that members cannot be inferred for lack of a right. */
static List *
check_right(List *problems, const EtlTask *task, const EtlDimension *dimension)
{
	if (dimension->missing != ETL_MISSING_INFERRED || !OidIsValid(task->owner) ||
		pg_class_aclcheck(dimension->relation, task->owner, ACL_INSERT) == ACLCHECK_OK)
		return problems;
	return etl_problem_add(problems, true,
						   psprintf("Owner %s may not insert the members into %s that are inferred for column %s.",
									task->owner_name, dimension->name, quote_identifier(dimension->column)),
						   psprintf("Run GRANT INSERT ON %s TO %s, or use \"missing\": \"unknown\".", dimension->name,
									quote_identifier(task->owner_name)));
}

/* key_list returns the columns of the dimension's key, separated by commas. */
static char *
key_list(const EtlDimension *dimension)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < dimension->n_by; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", dimension->by[i].quoted);
	return list.data;
}

/* check_unknown adds that the dimension lacks the member that facts may refer to. */
static List *
check_unknown(List *problems, const EtlDimension *dimension)
{
	int64 found;

	if ((dimension->missing != ETL_MISSING_UNKNOWN && dimension->missing != ETL_MISSING_INFERRED) ||
		pg_class_aclcheck(dimension->relation, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return problems;
	if (etl_sql_int64(psprintf("SELECT 1 FROM %s AS d WHERE d.%s OPERATOR(pg_catalog.=) " ETL_DIMENSION_UNKNOWN
							   " LIMIT 1",
							   dimension->name, dimension->surrogate_quoted),
					  &found))
		return problems;
	return etl_problem_add(
		problems, false,
		psprintf("Dimension %s has no unknown member, which column %s refers to where no other is known.",
				 dimension->name, quote_identifier(dimension->column)),
		psprintf("Run INSERT INTO %s (%s, ...)%s VALUES (" ETL_DIMENSION_UNKNOWN
				 ", ...), or use \"missing\": \"reject\" or \"null\".",
				 dimension->name, dimension->surrogate_quoted,
				 dimension->is_identity_always ? " OVERRIDING SYSTEM VALUE" : ""));
}

/* check_index adds that nothing guards the key of a dimension without versions. */
static List *
check_index(List *problems, const EtlDimension *dimension)
{
	EtlNames key = {0, palloc(sizeof(char *) * dimension->n_by)};

	for (int i = 0; i < dimension->n_by; i++)
		key.name[key.n++] = dimension->by[i].name;
	if (dimension->is_versioned || etl_target_has_unique_key(dimension->relation, &key))
		return problems;
	return etl_problem_add(
		problems, false,
		psprintf("Dimension %s has no unique index on (%s), by which column %s is looked up: each run"
				 " reads it whole, and of two members with one key the lower number counts.",
				 dimension->name, key_list(dimension), quote_identifier(dimension->column)),
		psprintf("Run CREATE UNIQUE INDEX ON %s (%s).", dimension->name, key_list(dimension)));
}

/* etl_dimension_problems looks at each dimension. */
List *
etl_dimension_problems(List *problems, const EtlTask *task, const EtlPlan *plan)
{
	for (int i = 0; i < plan->n_dimensions; i++)
	{
		problems = check_right(problems, task, &plan->dimension[i]);
		problems = check_unknown(problems, &plan->dimension[i]);
		problems = check_index(problems, &plan->dimension[i]);
	}
	return problems;
}
