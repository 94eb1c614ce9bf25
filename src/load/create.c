/*
 * create.c
 *		Creates the target of a load that does not exist yet. See target.h.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/spi.h"
#include "commands/dbcommands.h"
#include "compat.h"
#include "lib/stringinfo.h"
#include "load/comment.h"
#include "load/history.h"
#include "load/target.h"
#include "load/text.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* create_schema creates a missing schema. Errors: 42501 with the GRANT that is needed. */
static void
create_schema(const char *schema)
{
	const char *role = quote_identifier(GetUserNameFromId(GetUserId(), false));
	const char *database = quote_identifier(get_database_name(MyDatabaseId));

	if (etl_compat_database_aclcheck(MyDatabaseId, GetUserId(), ACL_CREATE) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("schema \"%s\" does not exist", schema),
						errdetail("Role %s, which owns the task, may not create schemas in this database.", role),
						errhint("Run CREATE SCHEMA %s AUTHORIZATION %s, or GRANT CREATE ON DATABASE %s TO %s.",
								quote_identifier(schema), role, database, role)));
	(void) etl_sql_exec(psprintf("CREATE SCHEMA %s", quote_identifier(schema)), SPI_OK_UTILITY);
}

/* check_schema refuses a schema in which the task's owner may not create tables. Errors: 42501. */
static void
check_schema(const char *schema, Oid oid)
{
	const char *role = quote_identifier(GetUserNameFromId(GetUserId(), false));

	if (etl_compat_namespace_aclcheck(oid, GetUserId(), ACL_CREATE) == ACLCHECK_OK &&
		etl_compat_namespace_aclcheck(oid, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for schema %s", schema),
					errdetail("Role %s, which owns the task, may not create the target there.", role),
					errhint("Run GRANT USAGE, CREATE ON SCHEMA %s TO %s.", quote_identifier(schema), role)));
}

/* table_sql returns the CREATE TABLE for the columns of the plan. */
static char *
table_sql(const EtlPlan *plan, const char *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", table);
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];

		appendStringInfo(&sql, "%s%s %s%s%s", i > 0 ? ", " : "", column->quoted,
						 etl_text_type(column->type, column->typmod), etl_text_collate(column->collation, column->type),
						 column->is_key || column->not_null ? " NOT NULL" : "");
	}
	if (plan->on_delete == ETL_ON_DELETE_MARK)
		appendStringInfoString(&sql, ", " ETL_DELETED_AT " pg_catalog.timestamptz");
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : ", PRIMARY KEY (", etl_plan_key(plan, i)->quoted);
	appendStringInfoString(&sql, plan->n_key > 0 ? "))" : ")");
	return sql.data;
}

/* etl_target_create creates the target with the types of the query, a primary key on the key, and comments. */
void
etl_target_create(const EtlPlan *plan, const char *schema, const char *name)
{
	char *table = quote_qualified_identifier(schema, name);
	Oid oid = get_namespace_oid(schema, true);
	bool is_dimension = plan->history != NULL || plan->task->surrogate_key != NULL;

	for (int i = 0; i < plan->n_key; i++)
		etl_plan_check_ordering("key column", etl_plan_key(plan, i)->name, etl_plan_key(plan, i)->type);
	if (OidIsValid(oid))
		check_schema(schema, oid);
	else
		create_schema(schema);
	if (is_dimension)
		(void) etl_sql_exec(etl_history_table_sql(plan, table, name), SPI_OK_UTILITY);
	else
		(void) etl_sql_exec(table_sql(plan, table), SPI_OK_UTILITY);
	etl_comment_target(plan, table);
	if (plan->on_delete == ETL_ON_DELETE_MARK)
		(void) etl_sql_exec(
			psprintf("COMMENT ON COLUMN %s." ETL_DELETED_AT
					 " IS 'When etl_ext learned that the source has deleted the row; NULL: it is there.'",
					 table),
			SPI_OK_UTILITY);
	if (is_dimension)
		etl_history_complete(plan, schema, name);
}
