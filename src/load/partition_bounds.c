/*
 * partition_bounds.c
 *		The part of a partitioned target that a delta can meet. See partitions.h.
 *
 * The bounds are constants, so that the planner leaves partitions outside of them out of the statement altogether.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "load/partitions.h"
#include "load/text.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

/* has_exact_text says whether the text of a value means the same value again, and its lowest and highest can be asked for. */
static bool
has_exact_text(const EtlColumn *column)
{
	switch (column->target_type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		case TEXTOID:
			return column->target_collation == get_typcollation(TEXTOID);
		default:
			return false;
	}
}

/* first_column returns the first column that a table is partitioned by, by range or list; or InvalidAttrNumber. */
static AttrNumber
first_column(Relation target)
{
	PartitionKey key;

	if (target->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return InvalidAttrNumber;
	key = RelationGetPartitionKey(target);
	return key->strategy == PARTITION_STRATEGY_HASH ? InvalidAttrNumber : key->partattrs[0];
}

/* key_column returns the key column that a target is partitioned by first, or NULL. */
static const EtlColumn *
key_column(const EtlPlan *plan)
{
	Relation rel = table_open(plan->target, AccessShareLock);
	AttrNumber attnum = first_column(rel);
	const EtlColumn *found = NULL;

	for (int i = 0; i < plan->n_key && attnum != InvalidAttrNumber; i++)
		if (strcmp(etl_plan_key(plan, i)->name, get_attname(plan->target, attnum, false)) == 0)
			found = etl_plan_key(plan, i);
	table_close(rel, NoLock);
	return found != NULL && has_exact_text(found) ? found : NULL;
}

/* etl_partitions_bounds asks the table for both ends. */
char *
etl_partitions_bounds(const EtlPlan *plan, const char *delta_table)
{
	const EtlColumn *column = key_column(plan);
	char *end[2];
	char *type;
	int level;

	if (column == NULL)
		return "";
	type = etl_text_type(column->target_type, -1);
	level = NewGUCNestLevel();
	(void) set_config_option("datestyle", "ISO, YMD", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	for (int i = 0; i < 2; i++)
		end[i] = etl_sql_text(psprintf("SELECT pg_catalog.%s(d.%s)::pg_catalog.text FROM %s AS d", i ? "max" : "min",
									   column->quoted, delta_table));
	AtEOXact_GUC(true, level);
	if (end[0] == NULL || end[1] == NULL)
		return "";
	return psprintf(" AND t.%s >= %s::%s AND t.%s <= %s::%s", column->quoted, quote_literal_cstr(end[0]), type,
					column->quoted, quote_literal_cstr(end[1]), type);
}
