/*
 * compile.c
 *		Rewrites the query tree and turns it back into SQL. See compile.h.
 *
 * An input becomes a subquery over the same table. Attribute numbers stay as they are, dropped columns included, so
 * that nothing else in the tree has to change; the planner pulls the subquery up again.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type_d.h"
#include "compat.h"
#include "dag/statement.h"
#include "lib/stringinfo.h"
#include "load/carry.h"
#include "load/compile.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

/* etl_compile_columns writes columns; a dropped one becomes a NULL. */
void
etl_compile_columns(StringInfo sql, Oid relation, const char *prefix)
{
	Relation rel = table_open(relation, AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		appendStringInfoString(sql, i > 0 ? ", " : "");
		if (attribute->attisdropped)
			appendStringInfo(sql, "NULL::pg_catalog.int4 AS _etl_dropped_%d", i + 1);
		else
			appendStringInfo(sql, "%s%s", prefix, quote_identifier(NameStr(attribute->attname)));
	}
	table_close(rel, NoLock);
}

/* append_range appends the condition for the batches of a run. The load times let the planner leave out partitions. */
static void
append_range(StringInfo sql, const EtlInput *input)
{
	const EtlBatchRange *range = &input->range;

	appendStringInfo(sql, " AND _etl_batch OPERATOR(pg_catalog.<=) " INT64_FORMAT "::pg_catalog.int8", range->last);
	if (input->after > 0)
		appendStringInfo(sql, " AND _etl_batch OPERATOR(pg_catalog.>) " INT64_FORMAT "::pg_catalog.int8", input->after);
	if (input->after > 0 && range->rows > 0)
	{
		appendStringInfo(sql, " AND _etl_loaded_at OPERATOR(pg_catalog.>=) '%s'::pg_catalog.timestamptz",
						 timestamptz_to_str(range->loaded_from));
		appendStringInfo(sql, " AND _etl_loaded_at OPERATOR(pg_catalog.<=) '%s'::pg_catalog.timestamptz",
						 timestamptz_to_str(range->loaded_to));
	}
}

/* etl_compile_rows returns the query that replaces an input. */
Query *
etl_compile_rows(const EtlInput *input, EtlRows rows)
{
	StringInfoData where;
	StringInfoData sql;

	initStringInfo(&where);
	if (input->is_narrowed)
		append_range(&where, input);
	if (rows != ETL_ROWS_ALL)
		appendStringInfo(&where, " AND _etl_op OPERATOR(pg_catalog.%s) 'd'::pg_catalog.text",
						 rows == ETL_ROWS_DELETED ? "=" : "<>");
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	etl_compile_columns(&sql, input->relation, "");
	appendStringInfo(&sql, " FROM %s%s%s", input->name, where.len > 0 ? " WHERE" : "",
					 where.len > 0 ? where.data + strlen(" AND") : "");
	return etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql.data)), sql.data);
}

/* name_dropped gives dropped columns, which have no name, the names that they have in the narrowed query. */
static void
name_dropped(List *names)
{
	ListCell *cell;
	int n = 0;

	foreach (cell, names)
	{
		n++;
		if (strVal(lfirst(cell))[0] == '\0')
			lfirst(cell) = makeString(psprintf("_etl_dropped_%d", n));
	}
}

/* etl_compile_replace turns an input into a subquery. */
void
etl_compile_replace(EtlInput *input, Query *rows)
{
	RangeTblEntry *rte = input->rte;

	rte->subquery = rows;
	rte->rtekind = RTE_SUBQUERY;
	rte->security_barrier = false;
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	etl_compat_clear_perms(rte);
	if (rte->alias == NULL)
		rte->alias = makeAlias(rte->eref->aliasname, NIL);
	name_dropped(rte->eref->colnames);
	name_dropped(rte->alias->colnames);
}

/* replace turns an input into a subquery over those of its rows that are there. */
static void
replace(EtlInput *input)
{
	etl_compile_replace(input,
						etl_compile_rows(input, input->op == InvalidAttrNumber ? ETL_ROWS_ALL : ETL_ROWS_PRESENT));
}

/* etl_compile_narrow turns a raw input into a subquery over what is new in it. */
void
etl_compile_narrow(EtlInput *input, int64 after, const EtlBatchRange *range)
{
	input->is_narrowed = true;
	input->after = after;
	input->range = *range;
	replace(input);
}

/*
 * etl_compile_leave_out leaves the delete markers out of the inputs that are read whole. An entry that is read in a way
 * that a subquery does not know stays as it is.
 */
void
etl_compile_leave_out(EtlCompile *compile)
{
	ListCell *cell;

	foreach (cell, compile->inputs)
	{
		EtlInput *input = lfirst(cell);

		if (input->rte->rtekind == RTE_RELATION && !input->in_view && !input->is_special &&
			input->op != InvalidAttrNumber)
			replace(input);
	}
}

/* etl_compile_sequence_name returns the name of the n-th appended column. */
char *
etl_compile_sequence_name(int n)
{
	return n == 0 ? pstrdup("_etl_seq") : psprintf("_etl_seq%d", n + 1);
}

/* etl_compile_sequence appends the batch number of every visible input; not where that would change the rows. */
void
etl_compile_sequence(EtlCompile *compile)
{
	Query *query = compile->query;
	ListCell *cell;

	if (query->groupClause != NIL || query->groupingSets != NIL || query->hasAggs || query->distinctClause != NIL ||
		query->setOperations != NULL || query->havingQual != NULL)
		return;
	foreach (cell, compile->inputs)
	{
		EtlInput *input = lfirst(cell);
		bool is_carried = compile->is_carried && input == compile->single;
		Var *var;

		if (input->is_kept || input->in_expression || (!is_carried && (!input->is_visible || input->level != query)))
			continue;
		var = etl_carry_column(input, get_attnum(input->relation, "_etl_batch"),
							   etl_compile_sequence_name(compile->n_sequence));
		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) var, list_length(query->targetList) + 1,
													etl_compile_sequence_name(compile->n_sequence), false));
		compile->n_sequence++;
	}
}

/* etl_compile_sql returns the query as SQL; only what is in pg_catalog stays without a schema. */
char *
etl_compile_sql(const EtlCompile *compile)
{
	int level = NewGUCNestLevel();
	char *sql;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	sql = pg_get_querydef(copyObject(compile->query), true);
	AtEOXact_GUC(true, level);
	return sql;
}
