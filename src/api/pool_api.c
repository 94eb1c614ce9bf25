/*
 * pool_api.c
 *		The SQL functions that define pools. Anybody with USAGE on the schema may use a pool; its owner changes it.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "catalog/pool.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(etl_create_pool);
PG_FUNCTION_INFO_V1(etl_alter_pool);
PG_FUNCTION_INFO_V1(etl_drop_pool);

#define MAX_SLOTS 1000

/* check_slots checks the size of a pool. Errors: 22023. */
static void
check_slots(int slots)
{
	if (slots < 0 || slots > MAX_SLOTS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("slots is out of range"),
						errdetail("It is %d.", slots), errhint("It must be between 0 and %d.", MAX_SLOTS)));
}

/* get_pool returns a pool that the caller may change, locked. Errors: 42704, 42501. */
static EtlPool *
get_pool(const char *name, EtlPoolLock lock)
{
	EtlPool *pool = etl_pool_find(name, lock);

	if (pool == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pool \"%s\" does not exist", name),
						errdetail("Names are compared letter by letter, upper and lower case differ."),
						errhint("SELECT name FROM etl.pool lists the pools; etl.create_pool makes one.")));
	if (!has_privs_of_role(GetUserId(), pool->owner) && !etl_access_may_all(GetUserId(), ETL_LEVEL_ADMIN))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for pool \"%s\"", name),
						errdetail("It belongs to role \"%s\".", pool->owner_name),
						errhint("Ask for membership in that role, or make a pool of your own.")));
	return pool;
}

/* new_owner returns the role that a pool is given to. Errors: 42704, 42501 if the caller is no member of it. */
static Oid
new_owner(const char *name)
{
	Oid role = get_role_oid(name, true);

	if (!OidIsValid(role))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", name),
						errdetail("It was named as owner."), errhint("SELECT rolname FROM pg_roles lists the roles.")));
	if (!has_privs_of_role(GetUserId(), role))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to make role \"%s\" the owner", name),
						errdetail("You are not a member of it."), errhint("Ask for membership in that role.")));
	return role;
}

/* etl.create_pool(name, slots, description) RETURNS void */
Datum
etl_create_pool(PG_FUNCTION_ARGS)
{
	EtlPool pool = {.name = etl_args_required(fcinfo, "name"), .owner = GetUserId()};
	Datum slots;

	etl_access_check_create("a pool");
	if (strlen(pool.name) > 128)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG), errmsg("the name of the pool is too long"),
						errdetail("It has %d bytes.", (int) strlen(pool.name)), errhint("Use at most 128.")));
	if (!etl_args_find(fcinfo, "slots", &slots))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("slots must not be NULL"),
						errdetail("It has no default."), errhint("Pass a number, as in slots => 4.")));
	pool.slots = DatumGetInt32(slots);
	check_slots(pool.slots);
	pool.description = etl_args_text(fcinfo, "description");
	if (!etl_pool_insert(&pool))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("pool \"%s\" already exists", pool.name),
						errdetail("The names of pools are unique in a database."),
						errhint("etl.alter_pool changes it, etl.drop_pool removes it.")));
	PG_RETURN_VOID();
}

/* etl.alter_pool(name, slots, description, owner) RETURNS void */
Datum
etl_alter_pool(PG_FUNCTION_ARGS)
{
	EtlPool *pool = get_pool(etl_args_required(fcinfo, "name"), ETL_POOL_CHANGE);
	char *owner = etl_args_text(fcinfo, "owner");
	char *description = etl_args_text(fcinfo, "description");
	Datum slots;

	if (owner != NULL)
		pool->owner = new_owner(owner);
	if (description != NULL)
		pool->description = description;
	if (etl_args_find(fcinfo, "slots", &slots))
	{
		pool->slots = DatumGetInt32(slots);
		check_slots(pool->slots);
	}
	etl_pool_update(pool);
	etl_wake_at_commit();
	PG_RETURN_VOID();
}

/* etl.drop_pool(name) RETURNS void */
Datum
etl_drop_pool(PG_FUNCTION_ARGS)
{
	EtlPool *pool = get_pool(etl_args_required(fcinfo, "name"), ETL_POOL_DROP);
	char *users = etl_pool_users(pool->name, GetUserId());

	if (users != NULL)
		ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						errmsg("pool \"%s\" cannot be dropped", pool->name), errdetail("It is used by %s.", users),
						errhint("Take them out of it first: etl.alter_task(..., reset => '{pool,pool_slots}').")));
	etl_pool_delete(pool->name);
	etl_wake_at_commit();
	PG_RETURN_VOID();
}
