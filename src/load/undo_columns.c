/*
 * undo_columns.c
 *		A target as undo sees it. See undo_columns.h.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_attribute.h"
#include "dag/lineage.h"
#include "load/text.h"
#include "load/undo_columns.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* Columns of etl.undo_<task_id> before those of the target. */
#define OWN_COLUMNS 4

/* find_key notes which columns are the key. */
static void
find_key(EtlUndoColumns *columns, const EtlNames *key)
{
	columns->key = palloc(sizeof(int) * Max(key->n, 1));
	for (int i = 0; i < key->n; i++)
	{
		int place = 0;

		while (place < columns->n && strcmp(columns->column[place].name, key->name[i]) != 0)
			place++;
		if (place == columns->n)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("target %s has no column \"%s\"", columns->target_name, key->name[i]),
							errdetail("It is a key column of the load."),
							errhint("Add it with ALTER TABLE, or change the key with etl.alter_task.")));
		columns->column[place].is_key = true;
		columns->key[columns->n_key++] = place;
	}
}

/* etl_undo_columns_read leaves out what PostgreSQL computes. */
EtlUndoColumns *
etl_undo_columns_read(Oid target, const EtlNames *key)
{
	EtlUndoColumns *columns = palloc0(sizeof(EtlUndoColumns));
	Relation relation = relation_open(target, AccessShareLock);
	TupleDesc desc = RelationGetDescr(relation);

	columns->target = target;
	columns->target_name = etl_lineage_name(target);
	columns->column = palloc0(sizeof(EtlUndoColumn) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		EtlUndoColumn *column = &columns->column[columns->n];

		if (attribute->attisdropped || attribute->attgenerated != '\0')
			continue;
		column->name = pstrdup(NameStr(attribute->attname));
		column->quoted = quote_identifier(column->name);
		column->type = attribute->atttypid;
		column->kept_typmod = attribute->atttypmod;
		column->kept_type = getBaseTypeAndTypmod(attribute->atttypid, &column->kept_typmod);
		column->collation = attribute->attcollation;
		column->is_identity = attribute->attidentity == ATTRIBUTE_IDENTITY_ALWAYS;
		columns->n++;
	}
	relation_close(relation, NoLock);
	if (key != NULL)
		find_key(columns, key);
	return columns;
}

/* etl_undo_columns_match compares names, types and collations. */
bool
etl_undo_columns_match(const EtlUndoColumns *columns, Oid table)
{
	Relation relation = relation_open(table, AccessShareLock);
	TupleDesc desc = RelationGetDescr(relation);
	bool same = desc->natts == columns->n + OWN_COLUMNS;

	for (int i = 0; same && i < columns->n; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i + OWN_COLUMNS);
		const EtlUndoColumn *column = &columns->column[i];

		same = !attribute->attisdropped && strcmp(NameStr(attribute->attname), column->name) == 0 &&
			   attribute->atttypid == column->kept_type && attribute->atttypmod == column->kept_typmod &&
			   attribute->attcollation == column->collation;
	}
	relation_close(relation, NoLock);
	return same;
}

/* etl_undo_columns_definitions has types and collations only. */
char *
etl_undo_columns_definitions(const EtlUndoColumns *columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < columns->n; i++)
	{
		const EtlUndoColumn *column = &columns->column[i];

		appendStringInfo(&sql, ", %s %s%s", column->quoted, etl_text_type(column->kept_type, column->kept_typmod),
						 etl_text_collate(column->collation, column->kept_type));
	}
	return sql.data;
}

/* etl_undo_columns_list appends the columns. */
void
etl_undo_columns_list(StringInfo sql, const EtlUndoColumns *columns, const char *prefix, bool only_key)
{
	int n = only_key ? columns->n_key : columns->n;

	for (int i = 0; i < n; i++)
		appendStringInfo(sql, "%s%s%s", i > 0 ? ", " : "", prefix,
						 columns->column[only_key ? columns->key[i] : i].quoted);
}

/* etl_undo_columns_same_key uses the operators that the index of the key has. */
char *
etl_undo_columns_same_key(const EtlUndoColumns *columns, const char *a, const char *b)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < columns->n_key; i++)
	{
		const EtlUndoColumn *column = &columns->column[columns->key[i]];
		Oid equal = lookup_type_cache(column->type, TYPECACHE_EQ_OPR)->eq_opr;

		if (!OidIsValid(equal))
			elog(ERROR, "type %u of a key column has no equality", column->type);
		appendStringInfo(&sql, "%s%s.%s%s%s.%s", i > 0 ? " AND " : "", a, column->quoted, etl_text_operator(equal), b,
						 column->quoted);
	}
	return sql.data;
}

/* etl_undo_columns_text returns an expression. */
char *
etl_undo_columns_text(const EtlUndoColumns *columns, const char *alias)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "ROW(");
	etl_undo_columns_list(&sql, columns, psprintf("%s.", alias), false);
	appendStringInfoString(&sql, ")::pg_catalog.text COLLATE pg_catalog.\"C\"");
	return sql.data;
}

/* etl_undo_columns_hash returns an expression of type bigint. */
char *
etl_undo_columns_hash(const EtlUndoColumns *columns, const char *alias)
{
	return psprintf("pg_catalog.hashtextextended(%s, 0)", etl_undo_columns_text(columns, alias));
}

/* etl_undo_columns_pin also keeps names in values (regclass) from depending on a path. */
int
etl_undo_columns_pin(void)
{
	int level = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	(void) set_config_option("lc_monetary", "C", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	etl_value_pin_settings();
	return level;
}
