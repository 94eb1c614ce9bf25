/*
 * history_target.c
 *		Whether a target can keep versions, and what it calls its columns. See history.h.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "api/problem.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "load/history.h"
#include "load/text.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/reltrigger.h"

/* key_list returns the key columns, separated by commas; is_literal: as literals. */
static char *
key_list(const EtlPlan *plan, bool is_literal)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "",
						 is_literal ? quote_literal_cstr(etl_plan_key(plan, i)->name) : etl_plan_key(plan, i)->quoted);
	return list.data;
}

/* find_attribute returns a column of the target, or NULL. */
static Form_pg_attribute
find_attribute(Relation relation, const char *name)
{
	AttrNumber number = get_attnum(RelationGetRelid(relation), name);

	return number <= 0 ? NULL : TupleDescAttr(RelationGetDescr(relation), number - 1);
}

/* refuse_column reports a column that is missing or of another type. */
static void
refuse_column(const EtlPlan *plan, const char *name, const Form_pg_attribute attribute, Oid type, const char *more)
{
	const char *column = quote_identifier(name);

	if (attribute == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("target %s has no column \"%s\"", plan->target_name, name),
				 errdetail("Mode scd2 keeps it beside the columns of the query."),
				 errhint("ALTER TABLE %s ADD COLUMN %s %s%s.", plan->target_name, column, format_type_be(type), more)));
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of target %s is of type %s, not %s", name, plan->target_name,
					format_type_be(attribute->atttypid), format_type_be(type)),
			 errdetail("Mode scd2 keeps it beside the columns of the query."),
			 errhint("ALTER TABLE %s ALTER COLUMN %s TYPE %s.", plan->target_name, column, format_type_be(type))));
}

/* check_columns refuses a target without the columns of a version. */
static void
check_columns(const EtlPlan *plan, Relation relation)
{
	static const char *const flags[] = {ETL_IS_CURRENT, ETL_IS_INFERRED};
	static const char *const times[] = {ETL_VALID_FROM, ETL_VALID_TO};
	EtlHistory *history = plan->history;
	Form_pg_attribute from = find_attribute(relation, ETL_VALID_FROM);

	if (history->time >= 0)
		history->time_type = getBaseType(plan->columns.column[history->time].target_type);
	else
		history->time_type = from == NULL ? TIMESTAMPTZOID : from->atttypid;
	if (history->time_type != DATEOID && history->time_type != TIMESTAMPOID && history->time_type != TIMESTAMPTZOID)
		refuse_column(plan, ETL_VALID_FROM, from, TIMESTAMPTZOID, "");
	for (int i = 0; i < lengthof(times); i++)
	{
		Form_pg_attribute attribute = find_attribute(relation, times[i]);

		if (attribute == NULL || attribute->atttypid != history->time_type)
			refuse_column(plan, times[i], attribute, history->time_type,
						  i == 0 ? " NOT NULL DEFAULT '-infinity'" : " NOT NULL DEFAULT 'infinity'");
	}
	for (int i = 0; i < lengthof(flags); i++)
	{
		Form_pg_attribute attribute = find_attribute(relation, flags[i]);

		if (attribute == NULL || attribute->atttypid != BOOLOID)
			refuse_column(plan, flags[i], attribute, BOOLOID,
						  i == 0 ? " NOT NULL DEFAULT true" : " NOT NULL DEFAULT false");
	}
}

/* is_unique_on says whether an index is unique on the key columns, in any order, and one more after them. */
static bool
is_unique_on(Relation index, const EtlPlan *plan, AttrNumber last)
{
	Form_pg_index form = index->rd_index;
	int n = last == InvalidAttrNumber ? plan->n_key : plan->n_key + 1;

	if (!form->indisunique || !form->indisvalid || form->indnkeyatts != n ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	if (last != InvalidAttrNumber && form->indkey.values[n - 1] != last)
		return false;
	for (int i = 0; i < n; i++)
	{
		AttrNumber wanted = i == plan->n_key ? last : get_attnum(plan->target, etl_plan_key(plan, i)->name);
		bool found = false;

		for (int j = 0; j < n; j++)
			found = found || form->indkey.values[j] == wanted;
		if (!found)
			return false;
	}
	return true;
}

/* is_single_unique says whether an index is unique on one column. */
static bool
is_single_unique(Relation index, AttrNumber column)
{
	Form_pg_index form = index->rd_index;

	return form->indisunique && form->indisvalid && form->indnkeyatts == 1 && form->indkey.values[0] == column &&
		   heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
}

/* is_exclusion says whether an index keeps ranges of rows with the same key apart. */
static bool
is_exclusion(Relation index, const EtlPlan *plan)
{
	Form_pg_index form = index->rd_index;
	int n_key = 0;

	if (!form->indisexclusion || index->rd_rel->relam != GIST_AM_OID ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
		for (int j = 0; j < plan->n_key; j++)
			if (form->indkey.values[i] == get_attnum(plan->target, etl_plan_key(plan, j)->name))
				n_key++;
	return n_key == plan->n_key && form->indnkeyatts == n_key + 1;
}

/* find_index says whether an index of the target meets a condition. */
static bool
find_index(Relation relation, const EtlPlan *plan, AttrNumber column, char kind)
{
	ListCell *cell;
	bool found = false;

	foreach (cell, RelationGetIndexList(relation))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		found = found || (kind == 's' && is_single_unique(index, column)) ||
				(kind == 'k' && is_unique_on(index, plan, column)) || (kind == 'x' && is_exclusion(index, plan));
		index_close(index, AccessShareLock);
	}
	return found;
}

/* has_trigger says whether etl.no_overlap guards the target. */
static bool
has_trigger(Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		char *name = get_func_name(trigger->tgfoid);

		if (name != NULL && strcmp(name, "no_overlap") == 0 && trigger->tgenabled != TRIGGER_DISABLED &&
			TRIGGER_FOR_INSERT(trigger->tgtype) && TRIGGER_FOR_UPDATE(trigger->tgtype) &&
			strcmp(get_namespace_name(get_func_namespace(trigger->tgfoid)), "etl") == 0)
			return true;
	}
	return false;
}

/* check_constraints refuses a target in which versions could overlap. */
static void
check_constraints(const EtlPlan *plan, Relation relation)
{
	char *keys = key_list(plan, false);

	if (!find_index(relation, plan, get_attnum(plan->target, ETL_VALID_FROM), 'k'))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("target %s has no unique index on its key and " ETL_VALID_FROM, plan->target_name),
						errdetail("Mode scd2 finds the versions of a key by it."),
						errhint("ALTER TABLE %s ADD UNIQUE (%s, " ETL_VALID_FROM ").", plan->target_name, keys)));
	if (!has_trigger(relation) && !find_index(relation, plan, InvalidAttrNumber, 'x'))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("nothing keeps versions of a key from overlapping in target %s", plan->target_name),
				 errdetail("Mode scd2 needs constraint trigger etl.no_overlap, or an exclusion constraint on the key"
						   " and the range from " ETL_VALID_FROM " to " ETL_VALID_TO "."),
				 errhint("CREATE CONSTRAINT TRIGGER no_overlap AFTER INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE"
						 " FUNCTION etl.no_overlap(%s).",
						 plan->target_name, key_list(plan, true))));
}

/* is_number says whether a column can be a surrogate key. */
static bool
is_number(const Form_pg_attribute attribute)
{
	return !attribute->attisdropped && attribute->attgenerated == '\0' &&
		   (attribute->atttypid == INT8OID || attribute->atttypid == INT4OID || attribute->atttypid == INT2OID);
}

/* find_surrogate returns the column that is the surrogate key, or NULL. */
static Form_pg_attribute
find_surrogate(const EtlPlan *plan, Relation relation)
{
	if (plan->task->surrogate_key != NULL)
		return find_attribute(relation, plan->task->surrogate_key);
	for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), i);

		if (attribute->attidentity != '\0' && !attribute->attisdropped &&
			etl_query_column(&plan->columns, NameStr(attribute->attname)) < 0)
			return attribute;
	}
	return NULL;
}

/* match_surrogate finds and checks the surrogate key. */
static void
match_surrogate(EtlPlan *plan, Relation relation)
{
	Form_pg_attribute attribute = find_surrogate(plan, relation);
	const char *wanted = plan->task->surrogate_key ? plan->task->surrogate_key : "surrogate_key";

	if (attribute == NULL && plan->history == NULL && plan->task->surrogate_key == NULL)
		return;
	if (attribute == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						plan->task->surrogate_key ? errmsg("target %s has no column \"%s\"", plan->target_name, wanted)
												  : errmsg("target %s has no identity column", plan->target_name),
						errdetail("A dimension has a surrogate key, which numbers its rows."),
						errhint("ALTER TABLE %s ADD COLUMN %s bigint GENERATED BY DEFAULT AS IDENTITY UNIQUE%s.",
								plan->target_name, quote_identifier(wanted),
								plan->task->surrogate_key ? "" : ", or name a column with surrogate_key")));
	if (!is_number(attribute) || (attribute->attidentity == '\0' && !attribute->atthasdef))
		ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
						errmsg("column \"%s\" of target %s cannot be a surrogate key", NameStr(attribute->attname),
							   plan->target_name),
						errdetail("It has type %s and %s.", format_type_be(attribute->atttypid),
								  attribute->attidentity ? "is an identity column"
								  : attribute->atthasdef ? "a default"
														 : "no default that would give it a number"),
						errhint("ALTER TABLE %s ALTER COLUMN %s ADD GENERATED BY DEFAULT AS IDENTITY.",
								plan->target_name, quote_identifier(NameStr(attribute->attname)))));
	if (!find_index(relation, plan, attribute->attnum, 's'))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("no unique index guards surrogate key \"%s\" of target %s", NameStr(attribute->attname),
							   plan->target_name),
						errdetail("Facts refer to a row by it."),
						errhint("ALTER TABLE %s ADD UNIQUE (%s).", plan->target_name,
								quote_identifier(NameStr(attribute->attname)))));
	plan->surrogate_name = pstrdup(NameStr(attribute->attname));
	plan->surrogate = pstrdup(quote_identifier(NameStr(attribute->attname)));
}

/* etl_history_match checks a target. */
void
etl_history_match(EtlPlan *plan, Relation relation)
{
	Form_pg_attribute inferred = find_attribute(relation, ETL_IS_INFERRED);

	plan->surrogate_name = NULL;
	plan->surrogate = NULL;
	plan->has_inferred = (plan->mode == ETL_MODE_MERGE || plan->history != NULL) && inferred != NULL &&
						 inferred->atttypid == BOOLOID && etl_query_column(&plan->columns, ETL_IS_INFERRED) < 0;
	if (plan->history == NULL && plan->mode != ETL_MODE_MERGE)
		return;
	if (plan->history != NULL && relation->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("target %s is partitioned", plan->target_name),
						errdetail("PostgreSQL has no constraint that keeps versions apart over partitions."),
						errhint("Use a table that is not partitioned for mode scd2.")));
	if (plan->history != NULL || plan->task->surrogate_key != NULL)
		match_surrogate(plan, relation);
	if (plan->history == NULL)
		return;
	check_columns(plan, relation);
	check_constraints(plan, relation);
}

/* etl_history_sets says whether a column is kept by etl_ext. */
bool
etl_history_sets(const EtlPlan *plan, const char *column)
{
	return plan->history != NULL && (strcmp(column, ETL_VALID_FROM) == 0 || strcmp(column, ETL_VALID_TO) == 0 ||
									 strcmp(column, ETL_IS_CURRENT) == 0 || strcmp(column, ETL_IS_INFERRED) == 0);
}

/* etl_history_check_rows looks for versions that overlap in a target that was not made by etl_ext. */
void
etl_history_check_rows(const EtlPlan *plan)
{
	char *keys = key_list(plan, false);
	char *found = etl_sql_text(
		psprintf("SELECT t.%s::pg_catalog.text FROM (SELECT %s, " ETL_VALID_FROM ", " ETL_VALID_TO
				 ", pg_catalog.lag(" ETL_VALID_TO ") OVER (PARTITION BY %s ORDER BY " ETL_VALID_FROM
				 ") AS _etl_before, %s FROM %s WHERE %s <> -1) AS t WHERE t." ETL_VALID_FROM " >= t." ETL_VALID_TO
				 " OR t._etl_before > t." ETL_VALID_FROM " LIMIT 1",
				 plan->surrogate, keys, keys, plan->surrogate, plan->target_name, plan->surrogate));

	if (found != NULL)
		ereport(ERROR, (errcode(ERRCODE_EXCLUSION_VIOLATION),
						errmsg("versions of a key overlap in target %s", plan->target_name),
						errdetail("One of them is the row with %s = %s; its interval begins before another ends, or is"
								  " empty.",
								  plan->surrogate, found),
						errhint("Correct the rows, so that each interval ends before the next begins.")));
}

/* etl_history_problems warns of what is allowed but not good. */
List *
etl_history_problems(List *problems, const EtlPlan *plan)
{
	int64 n;

	if (plan->surrogate == NULL || !plan->has_inferred ||
		pg_class_aclcheck(plan->target, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return problems;
	if (!etl_sql_int64(psprintf("SELECT 1 FROM %s WHERE %s = -1", plan->target_name, plan->surrogate), &n))
		problems = etl_problem_add(
			problems, false,
			psprintf("Target %s has no unknown member, a row with %s = -1.", plan->target_name, plan->surrogate),
			psprintf("Insert one, if facts are to refer to it: INSERT INTO %s (%s, ...) VALUES (-1, ...).",
					 plan->target_name, plan->surrogate));
	return problems;
}
