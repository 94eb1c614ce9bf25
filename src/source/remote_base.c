/*
 * remote_base.c
 *		The query that a foreign data wrapper would send for a source. See remote_base.h.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "source/plan_probe.h"
#include "source/remote_base.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "worker/attempt.h"

/* local_query returns the SELECT on the foreign table whose plan is looked at. */
static char *
local_query(const EtlReadRequest *request)
{
	const EtlSource *source = request->source;
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < source->n; i++)
		appendStringInfo(&sql, "%s%s.%s", i ? ", " : "SELECT ", source->alias,
						 quote_identifier(source->column[i].name));
	appendStringInfo(&sql, " FROM %s", source->name);
	if (request->filter)
		appendStringInfo(&sql, " WHERE (%s\n)", request->filter);
	return sql.data;
}

/* remote_name returns the name that a column has at the source. */
static char *
remote_name(const EtlSource *source, int i)
{
	ListCell *cell;

	foreach (cell, GetForeignColumnOptions(source->oid, source->column[i].attnum))
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "column_name") == 0)
			return defGetString(option);
	}
	return source->column[i].name;
}

/* name_by_position gives the columns names of our own, c1, c2 and so on, as PostgreSQL allows. */
static void
name_by_position(EtlRemoteBase *base)
{
	StringInfoData alias;

	initStringInfo(&alias);
	for (int i = 0; i < base->n; i++)
	{
		appendStringInfo(&alias, "%sc%d", i ? ", " : "s (", i + 1);
		base->column[i] = psprintf("s.c%d", i + 1);
	}
	appendStringInfoChar(&alias, ')');
	base->alias = alias.data;
}

/* name_by_source takes the source's names: MariaDB has no list of columns behind an alias. False: two are the same. */
static bool
name_by_source(EtlRemoteBase *base, const EtlReadRequest *request)
{
	base->alias = "s";
	for (int i = 0; i < base->n; i++)
	{
		base->column[i] = psprintf("s.%s", etl_remote_identifier(request->remote, remote_name(request->source, i)));
		for (int j = 0; j < i; j++)
			if (pg_strcasecmp(base->column[i], base->column[j]) == 0)
				return false;
	}
	return true;
}

/* etl_remote_base_make plans the query and takes it from the plan. */
EtlRemoteBase *
etl_remote_base_make(const EtlReadRequest *request, const char **why_not)
{
	EtlRemoteBase *base = palloc0(sizeof(EtlRemoteBase));
	int level;
	EtlPlanFacts facts;

	if (request->source->n == 0)
	{
		*why_not = "the source has no columns";
		return NULL;
	}
	level = etl_attempt_author_path(request->task);
	etl_plan_probe(local_query(request), &facts);
	AtEOXact_GUC(false, level);
	if (!facts.only_scan || facts.remote_sql == NULL)
	{
		*why_not = facts.local_filter ? "the foreign data wrapper does not send the whole filter to the source"
									  : "the plan of the foreign table is more than one query to the source";
		return NULL;
	}
	base->sql = facts.remote_sql;
	base->n = request->source->n;
	base->column = palloc(sizeof(char *) * base->n);
	if (request->remote->routine->kind == ETL_REMOTE_POSTGRES)
		name_by_position(base);
	else if (!name_by_source(base, request))
	{
		*why_not = "two columns of the foreign table are the same column of the source";
		return NULL;
	}
	return base;
}
