/*
 * utility.c
 *		Utility statements that concern etl_ext. See utility.h.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME or SET TABLESPACE, and CREATE DATABASE ... TEMPLATE need a database in which
 * nobody is connected. Workers are not somebody: they are ended first, and what they were at is repeated later. A role
 * that owns something here cannot be dropped, and REASSIGN OWNED gives what it owns to another one.
 *
 * Where the library is not preloaded, only sessions that have used etl_ext have this hook.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/owner.h"
#include "catalog/role_grant.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/spi.h"
#include "commands/dbcommands.h"
#include "compat.h"
#include "contract/guard.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "worker/bgw.h"
#include "worker/utility.h"
#include "worker/watch.h"

static ProcessUtility_hook_type next_hook = NULL;

/* How long to wait for the workers of a database to end, in ms; PostgreSQL waits as long again for everybody. */
#define LONGEST_WAIT 5000
#define TELL_AGAIN 1000
#define LOOK_PAUSE 20

/* The arguments of the hook. */
typedef struct Call
{
	PlannedStmt *statement;
	const char *query;
	bool read_only;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *receiver;
	QueryCompletion *completion;
} Call;

/* A database that is kept free of workers. */
typedef struct Clearing
{
	Oid database;
	bool ended_some; /* workers were at work */
	bool gone;		 /* the database was dropped */
} Clearing;

/* execute lets the statement be executed. */
static void
execute(const Call *call)
{
	if (next_hook)
		next_hook(call->statement, call->query, call->read_only, call->context, call->params, call->environment,
				  call->receiver, call->completion);
	else
		standard_ProcessUtility(call->statement, call->query, call->read_only, call->context, call->params,
								call->environment, call->receiver, call->completion);
}

/* may_create_databases says whether the current user may. */
static bool
may_create_databases(void)
{
	HeapTuple tuple;
	bool may = false;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(tuple))
	{
		may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return may;
}

/* is_template says whether everybody may copy a database. */
static bool
is_template(Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool result = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* owned returns the Oid of a database if the current user owns it. */
static Oid
owned(const char *name)
{
	Oid database = get_database_oid(name, true);

	return OidIsValid(database) && etl_compat_is_database_owner(database, GetUserId()) ? database : InvalidOid;
}

/* find_option returns the option of that name, or NULL. */
static DefElem *
find_option(List *options, const char *name)
{
	ListCell *lc;

	foreach (lc, options)
		if (strcmp(((DefElem *) lfirst(lc))->defname, name) == 0)
			return lfirst(lc);
	return NULL;
}

/* template_of returns the database that CREATE DATABASE is about to copy, if the current user may. */
static Oid
template_of(const CreatedbStmt *statement)
{
	DefElem *option = find_option(statement->options, "template");
	Oid database;

	if (option == NULL || option->arg == NULL || !IsA(option->arg, String) || !may_create_databases() ||
		OidIsValid(get_database_oid(statement->dbname, true)))
		return InvalidOid;
	database = get_database_oid(strVal(option->arg), true);
	if (OidIsValid(database) && (is_template(database) || etl_compat_is_database_owner(database, GetUserId())))
		return database;
	return InvalidOid;
}

/*
 * database_to_clear returns the database that a statement needs for itself; InvalidOid: none, or the statement is going
 * to fail anyway.
 */
static Oid
database_to_clear(const Call *call)
{
	Node *node = call->statement->utilityStmt;
	bool alone = call->context == PROCESS_UTILITY_TOPLEVEL && !IsTransactionBlock();
	Oid database = InvalidOid;

	if (IsA(node, DropdbStmt) && alone)
		database = owned(((DropdbStmt *) node)->dbname);
	else if (IsA(node, CreatedbStmt) && alone)
		return template_of((CreatedbStmt *) node);
	else if (IsA(node, AlterDatabaseStmt) && alone && find_option(((AlterDatabaseStmt *) node)->options, "tablespace"))
		database = owned(((AlterDatabaseStmt *) node)->dbname);
	else if (IsA(node, RenameStmt) && ((RenameStmt *) node)->renameType == OBJECT_DATABASE && may_create_databases())
		database = owned(((RenameStmt *) node)->subname);
	return database == MyDatabaseId ? InvalidOid : database;
}

/* allow_workers is what follows a statement, whether it fails or not. */
static void
allow_workers(int code, Datum arg)
{
	Clearing *clearing = (Clearing *) DatumGetPointer(arg);

	etl_watch_unblock(clearing->database, clearing->gone);
	/* With a launcher, that one looks. */
	if (clearing->ended_some && !clearing->gone && !etl_watch_exists())
		(void) etl_bgw_start_look(clearing->database, NULL);
}

/*
 * end_workers ends the workers in a database and waits for them. They are told again every second: some may have been
 * about to start, and the second time they no longer wait for a source that does not answer.
 */
static void
end_workers(Clearing *clearing)
{
	for (int waited = 0; waited < LONGEST_WAIT && etl_bgw_count(clearing->database) > 0; waited += LOOK_PAUSE)
	{
		clearing->ended_some = true;
		if (waited % TELL_AGAIN == 0)
			etl_bgw_terminate(clearing->database);
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_PAUSE, PG_WAIT_EXTENSION);
		CHECK_FOR_INTERRUPTS();
	}
}

/* execute_alone executes a statement while workers are kept out of a database. */
static void
execute_alone(const Call *call, Oid database)
{
	Clearing clearing = {.database = database};

	etl_watch_block(database);
	PG_ENSURE_ERROR_CLEANUP(allow_workers, PointerGetDatum(&clearing));
	{
		end_workers(&clearing);
		execute(call);
		clearing.gone = IsA(call->statement->utilityStmt, DropdbStmt);
	}
	PG_END_ENSURE_ERROR_CLEANUP(allow_workers, PointerGetDatum(&clearing));
	allow_workers(0, PointerGetDatum(&clearing));
}

/* roles_of returns the Oids of the roles in a list that exist. */
static List *
roles_of(List *specs)
{
	List *roles = NIL;
	ListCell *lc;

	foreach (lc, specs)
	{
		RoleSpec *spec = lfirst(lc);

		if (spec->roletype != ROLESPEC_PUBLIC)
		{
			Oid role = get_rolespec_oid(spec, true);

			if (OidIsValid(role))
				roles = lappend_oid(roles, role);
		}
	}
	return roles;
}

/* refuse_drop keeps a role that owns something here from being dropped. Errors: 2BP01. */
static void
refuse_drop(Oid role)
{
	char *name = GetUserNameFromId(role, false);
	char *holdings = etl_owner_holdings(role);

	if (holdings != NULL)
		ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						errmsg("role \"%s\" cannot be dropped because it owns objects of etl_ext", name),
						errdetail("In this database it owns %s.", holdings),
						errhint("REASSIGN OWNED BY %s TO another role gives them to it, together with all else that "
								"the role owns; etl.alter_pipeline(..., owner => ...) does it one by one.",
								quote_identifier(name))));
}

/* refuse_drop_owned keeps DROP OWNED from leaving pipelines behind. Errors: 2BP01. */
static void
refuse_drop_owned(Oid role)
{
	char *name = GetUserNameFromId(role, false);
	char *holdings = etl_owner_holdings(role);

	if (holdings != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop what role \"%s\" owns because it owns objects of etl_ext", name),
			 errdetail("In this database it owns %s. They are not dropped together with tables.", holdings),
			 errhint(
				 "Drop them with etl.drop_pipeline, drop_task, drop_pool, drop_alert_route and drop_contract, or give "
				 "them to another role: REASSIGN OWNED BY %s TO ...",
				 quote_identifier(name))));
}

/*
 * check_roles refuses statements that would leave something without an owner. Whoever may not execute them is told so. Returns
 * the roles whose grants go with them.
 */
static List *
check_roles(Node *node)
{
	List *roles = NIL;
	ListCell *lc;

	if (IsA(node, DropRoleStmt) && (superuser() || has_createrole_privilege(GetUserId())) && etl_catalog_exists())
	{
		roles = roles_of(((DropRoleStmt *) node)->roles);
		foreach (lc, roles)
			refuse_drop(lfirst_oid(lc));
	}
	else if (IsA(node, DropOwnedStmt) && etl_catalog_exists())
	{
		roles = roles_of(((DropOwnedStmt *) node)->roles);
		foreach (lc, roles)
			if (has_privs_of_role(GetUserId(), lfirst_oid(lc)))
				refuse_drop_owned(lfirst_oid(lc));
	}
	return roles;
}

/* execute_reassign executes REASSIGN OWNED, and does the same in schema etl. */
static void
execute_reassign(const Call *call)
{
	ReassignOwnedStmt *statement = (ReassignOwnedStmt *) call->statement->utilityStmt;
	List *roles = roles_of(statement->roles);
	Oid to = get_rolespec_oid(statement->newrole, true);
	ListCell *lc;

	execute(call);
	if (!etl_catalog_exists())
		return;
	foreach (lc, roles)
		if (lfirst_oid(lc) != to)
			etl_owner_reassign(lfirst_oid(lc), to);
}

/* on_utility is the hook. */
static void
on_utility(PlannedStmt *statement, const char *query, bool read_only, ProcessUtilityContext context,
		   ParamListInfo params, QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	Call call = {statement, query, read_only, context, params, environment, receiver, completion};
	Node *node = statement->utilityStmt;
	Oid database = InvalidOid;

	if (IsA(node, DropdbStmt) || IsA(node, CreatedbStmt) || IsA(node, AlterDatabaseStmt) || IsA(node, RenameStmt))
		database = database_to_clear(&call);
	if (OidIsValid(database))
		execute_alone(&call, database);
	else if (IsA(node, ReassignOwnedStmt))
		execute_reassign(&call);
	else
	{
		List *dropped = check_roles(node);
		ListCell *lc;

		execute(&call);
		foreach (lc, dropped)
			etl_role_grant_forget(lfirst_oid(lc));
	}
	/* A part of a statement is told of with the whole. */
	if (context != PROCESS_UTILITY_SUBCOMMAND)
		etl_guard_report();
}

/* etl_utility_init installs the hook. */
void
etl_utility_init(void)
{
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}
