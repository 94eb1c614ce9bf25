/*
 * contract_api.c
 *		The SQL functions about contracts of sources.
 */
#include "postgres.h"

#include "api/args.h"
#include "api/define.h"
#include "compat.h"
#include "contract/contract.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(etl_set_contract);
PG_FUNCTION_INFO_V1(etl_drop_contract);
PG_FUNCTION_INFO_V1(etl_evaluate_contracts);

static const char *const resettable[] = {
	"team",		  "contact", "arrival",		  "timezone", "freshness",	 "min_rows", "max_rows", "max_change_pct",
	"volume_per", "columns", "extra_columns", "severity", "description", "tags",	 "enabled",	 NULL};

/* check_may refuses whoever has nothing to do with the source. Errors: 42501. */
static void
check_may(const char *source, Oid relation, const EtlContract *old)
{
	if (superuser() || (old != NULL && has_privs_of_role(GetUserId(), old->owner)) ||
		(OidIsValid(relation) && etl_compat_is_relation_owner(relation, GetUserId())) ||
		etl_contract_reader(source, GetUserId()))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for the contract of source %s", source),
			 errdetail("You own neither the source, nor a pipeline that reads it, nor its contract."),
			 errhint("Ask one of these owners, or for membership in their role.")));
}

/* get_contract finds the contract that an argument means; the source may be gone. Errors: 42704, 42501. */
static EtlContract *
get_contract(const char *name)
{
	Oid relation = etl_relation_find(name);
	char *source = OidIsValid(relation) ? etl_relation_name(relation) : pstrdup(name);
	EtlContract *contract = etl_contract_find(source, true);

	if (contract == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("source %s has no contract", source),
						errdetail("Nobody has set one."),
						errhint("SELECT source FROM etl.contract lists them; etl.set_contract sets one.")));
	check_may(source, relation, contract);
	return contract;
}

/* owner_of returns the role that is to answer for the source: the one named, the one so far, the caller. Errors: 42704. */
static Oid
owner_of(const char *name, const EtlContract *old)
{
	Oid role;

	if (name == NULL)
		return old ? old->owner : GetUserId();
	role = get_role_oid(name, true);
	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", name),
				 errdetail("It was named as owner."),
				 errhint("CREATE ROLE makes one; whom to ask outside of the database goes into team and contact.")));
	return role;
}

/* empty_object is the definition of a contract that is not there yet. */
static Jsonb *
empty_object(void)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
}

/* etl.set_contract(source, ...) RETURNS bigint */
Datum
etl_set_contract(PG_FUNCTION_ARGS)
{
	char *name = etl_args_required(fcinfo, "source");
	Oid relation = etl_relation_find(name);
	EtlNames reset = etl_args_names(fcinfo, "reset");
	Jsonb *definition;
	EtlContract *old;
	EtlContract *contract;
	char *owner = etl_args_text(fcinfo, "owner");
	Oid role;

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("source %s does not exist", name),
				 errdetail("A contract is about a foreign table, a table or a view that extracts name as source."),
				 errhint("Name it with its schema, as in etl.task.source.")));
	name = etl_relation_name(relation);
	old = etl_contract_find(name, true);
	check_may(name, relation, old);
	role = owner_of(owner, old);
	for (int i = 0; i < reset.n; i++)
		etl_define_choice("element of reset", reset.name[i], resettable);
	definition = old ? etl_contract_definition(name) : empty_object();
	definition = etl_define_overlay(definition, etl_args_object(fcinfo), &reset);
	contract = etl_contract_parse(definition);
	contract->source = name;
	contract->owner = role;
	etl_contract_check(contract);
	contract->contract_id = etl_contract_store(contract);
	contract = etl_contract_find(name, true);
	etl_contract_begin(contract);
	etl_wake_at_commit();
	PG_RETURN_INT64(contract->contract_id);
}

/* etl.drop_contract(source) RETURNS void */
Datum
etl_drop_contract(PG_FUNCTION_ARGS)
{
	etl_contract_delete(get_contract(etl_args_required(fcinfo, "source"))->contract_id);
	PG_RETURN_VOID();
}

/* etl.evaluate_contracts() RETURNS integer */
Datum
etl_evaluate_contracts(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	int64 *due;
	int broken = 0;
	int n = etl_contract_due(now, &due);

	for (int i = 0; i < n; i++)
	{
		EtlContract *contract = etl_contract_take(due[i], true);

		CHECK_FOR_INTERRUPTS();
		if (contract != NULL && contract->is_begun)
			broken += etl_contract_judge(contract, now);
	}
	PG_RETURN_INT32(broken);
}
