/*
 * access.c
 *		Who may do what with pipelines. See access.h.
 */
#include "postgres.h"

#include "access/access.h"
#include "catalog/pipeline.h"
#include "catalog/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

/* etl_access_may asks the owner's rights first: they need no look at the grants. */
bool
etl_access_may(Oid role, const EtlPipeline *pipeline, EtlLevel level)
{
	return (OidIsValid(pipeline->owner) && has_privs_of_role(role, pipeline->owner)) || superuser_arg(role) ||
		   etl_role_grant_held(role, pipeline->pipeline_id) >= level;
}

/* etl_access_may_all counts the owner of the extension as an admin. */
bool
etl_access_may_all(Oid role, EtlLevel level)
{
	return has_privs_of_role(role, etl_catalog_owner()) || etl_role_grant_held(role, 0) >= level;
}

/* etl_access_is_owner looks at the rights, not at the name. */
bool
etl_access_is_owner(const EtlPipeline *pipeline)
{
	return superuser() || (OidIsValid(pipeline->owner) && has_privs_of_role(GetUserId(), pipeline->owner));
}

/* etl_access_check refuses a role that has neither the owner's rights nor the level. */
void
etl_access_check(Oid role, const EtlPipeline *pipeline, EtlLevel level)
{
	if (etl_access_may(role, pipeline, level))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for pipeline \"%s\"", pipeline->name),
			 errdetail("It belongs to role \"%s\".", pipeline->owner_name),
			 errhint("Ask for membership in that role, or for etl.grant_role(%s, '%s', %s).",
					 quote_literal_cstr(GetUserNameFromId(role, false)), etl_role_grant_level_name(level),
					 quote_literal_cstr(pipeline->name))));
}

/* etl_access_pipeline locks the pipeline before it looks, so that what it finds stays true. */
EtlPipeline *
etl_access_pipeline(const char *name, EtlLevel level)
{
	EtlPipeline *pipeline = etl_pipeline_find(name, false);

	if (pipeline == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" does not exist", name),
						errdetail("Names are compared letter by letter, upper and lower case differ."),
						errhint("SELECT name FROM etl.pipeline lists the pipelines; etl.create_pipeline makes one.")));
	/* A stranger does not get to wait for the lock, or to hold it. */
	etl_access_check(GetUserId(), pipeline, level);
	pipeline = etl_pipeline_find(name, true);
	if (pipeline == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" does not exist any more", name),
						errdetail("It was dropped meanwhile."),
						errhint("SELECT name FROM etl.pipeline lists the pipelines.")));
	etl_access_check(GetUserId(), pipeline, level);
	return pipeline;
}

/* etl_access_check_create lets those pass who may use the schema by themselves. */
void
etl_access_check_create(const char *what)
{
	Oid role = GetUserId();

	if (superuser() || etl_role_grant_has_own_usage(role) || etl_access_may_all(role, ETL_LEVEL_AUTHOR))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to create %s", what),
			 errdetail("Role \"%s\" may use schema etl by grants of a lesser level.", GetUserNameFromId(role, false)),
			 errhint("Ask for etl.grant_role(%s, 'author'), or for GRANT USAGE ON SCHEMA etl.",
					 quote_literal_cstr(GetUserNameFromId(role, false)))));
}

/* etl_access_check_code compares the caller with the role that the task runs as. */
void
etl_access_check_code(const EtlTask *task, Oid owner)
{
	if (superuser() || (OidIsValid(owner) && has_privs_of_role(GetUserId(), owner)))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for task \"%s\"", task->name),
		 errdetail("It runs with the rights of role \"%s\", which you do not have.",
				   OidIsValid(owner) ? GetUserNameFromId(owner, true) : "(gone)"),
		 errhint("An author may change when and how it runs, but not what it does: ask a member of that role, or add "
				 "a task of your own.")));
}
