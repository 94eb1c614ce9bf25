/*
 * role_api.c
 *		The SQL functions that give levels to roles.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "catalog/namespace.h"
#include "catalog/pipeline.h"
#include "catalog/spi.h"
#include "compat.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(etl_grant_role);
PG_FUNCTION_INFO_V1(etl_revoke_role);
PG_FUNCTION_INFO_V1(etl_may);
PG_FUNCTION_INFO_V1(etl_granted_pipelines);

/* find_role returns the role that a grant is about. Errors: 42704. */
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

/* find_level returns the level of that name. Errors: 22023. */
static EtlLevel
find_level(const char *name)
{
	EtlLevel level = etl_role_grant_level(name);

	if (level == ETL_LEVEL_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid level \"%s\"", name),
				 errdetail("There is no such level."), errhint("It is one of: viewer, operator, author, admin.")));
	return level;
}

/* find_scope returns the number of the pipeline that the caller may grant for; 0: all. Errors: 42704, 42501. */
static int64
find_scope(FunctionCallInfo fcinfo)
{
	char *name = etl_args_text(fcinfo, "pipeline");

	if (name != NULL)
		return etl_access_pipeline(name, ETL_LEVEL_ADMIN)->pipeline_id;
	if (!etl_access_may_all(GetUserId(), ETL_LEVEL_ADMIN))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to grant for all pipelines"),
				 errdetail("It concerns the pipelines of everybody."),
				 errhint("Name a pipeline of yours, or ask an admin of all pipelines or a member of role \"%s\", "
						 "which owns the extension.",
						 GetUserNameFromId(etl_catalog_owner(), false))));
	return 0;
}

/* etl.grant_role(role, level, pipeline) RETURNS void */
Datum
etl_grant_role(PG_FUNCTION_ARGS)
{
	Oid role = find_role(etl_args_required(fcinfo, "role"));
	EtlLevel level = find_level(etl_args_required(fcinfo, "level"));
	int64 pipeline_id = find_scope(fcinfo);
	bool gives_usage = etl_compat_namespace_aclcheck(get_namespace_oid("etl", false), role, ACL_USAGE) != ACLCHECK_OK ||
					   etl_role_grant_gives_usage(role);

	if (gives_usage)
		etl_role_grant_usage(role, true);
	etl_role_grant_set(role, pipeline_id, level, GetUserId(), gives_usage);
	PG_RETURN_VOID();
}

/* etl.revoke_role(role, pipeline) RETURNS boolean */
Datum
etl_revoke_role(PG_FUNCTION_ARGS)
{
	Oid role = find_role(etl_args_required(fcinfo, "role"));
	int64 pipeline_id = find_scope(fcinfo);
	bool gave_usage = etl_role_grant_gives_usage(role);

	if (!etl_role_grant_delete(role, pipeline_id))
		PG_RETURN_BOOL(false);
	if (gave_usage)
		etl_role_grant_settle_usage(&role, 1);
	PG_RETURN_BOOL(true);
}

/* etl.may(level, pipeline) RETURNS boolean */
Datum
etl_may(PG_FUNCTION_ARGS)
{
	EtlLevel level = find_level(etl_args_required(fcinfo, "level"));
	char *name = etl_args_text(fcinfo, "pipeline");
	EtlPipeline *pipeline;

	if (name == NULL)
		PG_RETURN_BOOL(etl_access_may_all(GetUserId(), level));
	pipeline = etl_pipeline_find(name, false);
	PG_RETURN_BOOL(pipeline != NULL && etl_access_may(GetUserId(), pipeline, level));
}

/* etl.granted_pipelines(level) RETURNS bigint[] */
Datum
etl_granted_pipelines(PG_FUNCTION_ARGS)
{
	EtlLevel level = find_level(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_ARRAYTYPE_P(etl_role_grant_pipelines(GetUserId(), level));
}
