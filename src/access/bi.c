/*
 * bi.c
 *		Roles that read what pipelines keep, and nothing else. See bi.h.
 *
 * GRANT and REVOKE are executed as the owner of the task, which has made the target. What it may not grant is left alone, with
 * a notice that says which GRANT is missing.
 */
#include "postgres.h"

#include "access/access.h"
#include "access/bi.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/bi_grant.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pipeline.h"
#include "catalog/spi.h"
#include "commands/defrem.h"
#include "compat.h"
#include "miscadmin.h"
#include "source/relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(etl_grant_bi);
PG_FUNCTION_INFO_V1(etl_revoke_bi);

/* as_of_view returns the view of a moment that belongs to a dimension, or InvalidOid. */
static Oid
as_of_view(Oid relation)
{
	Oid view = get_relname_relid(makeObjectName(get_rel_name(relation), NULL, "as_of"), get_rel_namespace(relation));

	return OidIsValid(view) && get_rel_relkind(view) == RELKIND_VIEW ? view : InvalidOid;
}

/* share_schema lets a role use the schema of a target; false if the current role may not grant it. */
static bool
share_schema(Oid schema, Oid role, const char *name)
{
	if (etl_compat_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK)
		return true;
	if (etl_compat_namespace_aclcheck(schema, GetUserId(), ACL_GRANT_OPTION_FOR(ACL_USAGE)) != ACLCHECK_OK)
	{
		ereport(NOTICE, (errmsg("role \"%s\" may not use schema \"%s\"", name, get_namespace_name(schema)),
						 errdetail("Role \"%s\" may not grant it.", GetUserNameFromId(GetUserId(), false)),
						 errhint("GRANT USAGE ON SCHEMA %s TO %s;", quote_identifier(get_namespace_name(schema)),
								 quote_identifier(name))));
		return false;
	}
	(void) etl_sql_exec(psprintf("GRANT USAGE ON SCHEMA %s TO %s", quote_identifier(get_namespace_name(schema)),
								 quote_identifier(name)),
						SPI_OK_UTILITY);
	return true;
}

/* share_relation lets a role read a target; false if the current role may not grant it. */
static bool
share_relation(Oid relation, Oid role, const char *name)
{
	if (pg_class_aclcheck(relation, role, ACL_SELECT) == ACLCHECK_OK)
		return true;
	if (pg_class_aclcheck(relation, GetUserId(), ACL_GRANT_OPTION_FOR(ACL_SELECT)) != ACLCHECK_OK)
	{
		ereport(NOTICE, (errmsg("role \"%s\" may not read %s", name, etl_relation_name(relation)),
						 errdetail("Role \"%s\" may not grant it.", GetUserNameFromId(GetUserId(), false)),
						 errhint("GRANT SELECT ON %s TO %s;", etl_relation_name(relation), quote_identifier(name))));
		return false;
	}
	(void) etl_sql_exec(psprintf("GRANT SELECT ON %s TO %s", etl_relation_name(relation), quote_identifier(name)),
						SPI_OK_UTILITY);
	return true;
}

/* share gives a target to a role, as the owner of its task. */
static bool
share(const char *target, Oid owner, Oid role)
{
	const char *name = GetUserNameFromId(role, false);
	Oid relation;
	EtlRole saved;
	bool done = false;

	etl_define_become(&saved, owner, "pg_catalog");
	relation = etl_relation_find(target);
	if (OidIsValid(relation))
	{
		Oid view = as_of_view(relation);

		done = share_schema(get_rel_namespace(relation), role, name);
		done = share_relation(relation, role, name) && done;
		if (OidIsValid(view))
			(void) share_relation(view, role, name);
	}
	etl_define_return(&saved);
	return done;
}

/* unshare takes a target away from a role, as the owner of its task. */
static void
unshare(const char *target, Oid owner, Oid role)
{
	const char *name = quote_identifier(GetUserNameFromId(role, false));
	Oid relation;
	EtlRole saved;

	etl_define_become(&saved, owner, "pg_catalog");
	relation = etl_relation_find(target);
	if (OidIsValid(relation) &&
		pg_class_aclcheck(relation, GetUserId(), ACL_GRANT_OPTION_FOR(ACL_SELECT)) == ACLCHECK_OK)
	{
		Oid view = as_of_view(relation);

		(void) etl_sql_exec(psprintf("REVOKE SELECT ON %s FROM %s", etl_relation_name(relation), name), SPI_OK_UTILITY);
		if (OidIsValid(view))
			(void) etl_sql_exec(psprintf("REVOKE SELECT ON %s FROM %s", etl_relation_name(view), name), SPI_OK_UTILITY);
	}
	etl_define_return(&saved);
}

/* etl_bi_share looks for the grants that cover the target. */
void
etl_bi_share(const EtlPipeline *pipeline, const EtlTask *task)
{
	Oid owner = etl_define_task_owner(pipeline, task);
	Oid *role;
	int n;

	if (task->kind != ETL_TASK_LOAD && task->kind != ETL_TASK_AGGREGATE)
		return;
	n = etl_bi_grant_readers(pipeline->pipeline_id, task->target, owner, &role);
	for (int i = 0; i < n; i++)
		(void) share(task->target, owner, role[i]);
}

/* find_scope returns the number of the pipeline that the caller may share; 0: all. Errors: 42704, 42501. */
static int64
find_scope(FunctionCallInfo fcinfo)
{
	char *name = etl_args_text(fcinfo, "pipeline");
	EtlPipeline *pipeline;

	if (name == NULL)
	{
		if (!etl_access_may_all(GetUserId(), ETL_LEVEL_ADMIN))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to grant for all pipelines"),
					 errdetail("It concerns the pipelines of everybody."), errhint("Name a pipeline of yours.")));
		return 0;
	}
	pipeline = etl_access_pipeline(name, ETL_LEVEL_ADMIN);
	if (!etl_access_is_owner(pipeline))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to share the targets of pipeline \"%s\"", name),
				 errdetail("They belong to role \"%s\", and you may not read them by yourself.", pipeline->owner_name),
				 errhint("Ask a member of that role.")));
	return pipeline->pipeline_id;
}

/* find_role returns the role that is to read. Errors: 42704. */
static Oid
find_role(const char *name)
{
	Oid role = get_role_oid(name, true);

	if (!OidIsValid(role))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", name),
						errdetail("Names are compared letter by letter, upper and lower case differ."),
						errhint("CREATE ROLE makes one; SELECT rolname FROM pg_roles lists the roles.")));
	return role;
}

/* find_targets returns the targets that are named. Errors: 42704. */
static EtlNames
find_targets(FunctionCallInfo fcinfo, int64 pipeline_id)
{
	EtlNames targets = etl_args_names(fcinfo, "targets");
	char *unknown = targets.name ? etl_bi_grant_unknown(pipeline_id, &targets) : NULL;

	if (unknown != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("no load or aggregate keeps %s", unknown),
			 errdetail("Only targets of loads and aggregates are published."),
			 errhint("SELECT target FROM etl.task WHERE kind IN ('load', 'aggregate') lists them; names are written "
					 "as there, with their schema.")));
	return targets;
}

/* has_target says whether a target is in a list. */
static bool
has_target(const EtlBiTarget *list, int n, const char *target)
{
	for (int i = 0; i < n; i++)
		if (strcmp(list[i].target, target) == 0)
			return true;
	return false;
}

/* take_back takes those targets away that no grant covers any more. */
static void
take_back(Oid role, const EtlBiTarget *before, int n_before)
{
	EtlBiTarget *now;
	int n = etl_bi_grant_targets(role, GetUserId(), &now);

	for (int i = 0; i < n_before; i++)
		if (!has_target(now, n, before[i].target))
			unshare(before[i].target, before[i].owner, role);
}

/* etl.grant_bi(role, pipeline, targets) RETURNS integer */
Datum
etl_grant_bi(PG_FUNCTION_ARGS)
{
	Oid role = find_role(etl_args_required(fcinfo, "role"));
	int64 pipeline_id = find_scope(fcinfo);
	EtlNames targets = find_targets(fcinfo, pipeline_id);
	bool gives_usage = etl_compat_namespace_aclcheck(get_namespace_oid("etl", false), role, ACL_USAGE) != ACLCHECK_OK ||
					   etl_role_grant_gives_usage(role);
	EtlBiTarget *before;
	int n_before = etl_bi_grant_targets(role, GetUserId(), &before);
	EtlBiTarget *target;
	int n;
	int n_shared = 0;

	if (gives_usage)
		etl_role_grant_usage(role, true);
	etl_bi_grant_set(role, pipeline_id, &targets, GetUserId(), gives_usage);
	n = etl_bi_grant_targets(role, GetUserId(), &target);
	for (int i = 0; i < n; i++)
		n_shared += share(target[i].target, target[i].owner, role);
	take_back(role, before, n_before);
	PG_RETURN_INT32(n_shared);
}

/* etl.revoke_bi(role, pipeline) RETURNS boolean */
Datum
etl_revoke_bi(PG_FUNCTION_ARGS)
{
	Oid role = find_role(etl_args_required(fcinfo, "role"));
	int64 pipeline_id = find_scope(fcinfo);
	bool gave_usage = etl_role_grant_gives_usage(role);
	EtlBiTarget *before;
	int n_before = etl_bi_grant_targets(role, GetUserId(), &before);

	if (!etl_bi_grant_delete(role, pipeline_id))
		PG_RETURN_BOOL(false);
	take_back(role, before, n_before);
	if (gave_usage)
		etl_role_grant_settle_usage(&role, 1);
	PG_RETURN_BOOL(true);
}
