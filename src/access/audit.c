/*
 * audit.c
 *		The trigger that writes changes of definitions to etl.audit_log.
 *
 * Arguments of the trigger: the actions for INSERT, UPDATE and DELETE, the column with the name of the object, then columns whose
 * values are not to be told. A table that has a column pipeline_id, and the name of a task in a column name, is told of as that.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/audit_log.h"
#include "catalog/member.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "catalog/pipeline.h"
#include "catalog/spi.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/numeric.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(etl_audit_change);
PG_FUNCTION_INFO_V1(etl_audit_keep);

enum
{
	ARG_INSERT,
	ARG_UPDATE,
	ARG_DELETE,
	ARG_NAME,
	ARG_HIDDEN
};

/* row_of makes an object from a row. */
static Jsonb *
row_of(HeapTuple tuple, TupleDesc desc)
{
	Datum row = heap_copy_tuple_as_datum(tuple, desc);
	Const *argument = makeConst(desc->tdtypeid, -1, InvalidOid, -1, row, false, false);
	FmgrInfo function;

	fmgr_info(F_TO_JSONB, &function);
	fmgr_info_set_expr(
		(Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
		&function);
	return DatumGetJsonbP(FunctionCall1(&function, row));
}

/* has_only says whether one member alone has changed. */
static bool
has_only(Jsonb *values, const char *name)
{
	JsonbValue key = {.type = jbvString, .val.string = {.val = (char *) name, .len = strlen(name)}};

	return values != NULL && JB_ROOT_COUNT(values) == 1 &&
		   findJsonbValueFromContainer(&values->root, JB_FOBJECT, &key) != NULL;
}

/* number_of returns a member that is a number; 0: there is none. */
static int64
number_of(Jsonb *row, const char *name)
{
	JsonbValue key = {.type = jbvString, .val.string = {.val = (char *) name, .len = strlen(name)}};
	JsonbValue *value = findJsonbValueFromContainer(&row->root, JB_FOBJECT, &key);

	if (value == NULL || value->type != jbvNumeric)
		return 0;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

/* is_true says whether a member is true. */
static bool
is_true(Jsonb *row, const char *name)
{
	JsonbValue key = {.type = jbvString, .val.string = {.val = (char *) name, .len = strlen(name)}};
	JsonbValue *value = findJsonbValueFromContainer(&row->root, JB_FOBJECT, &key);

	return value != NULL && value->type == jbvBool && value->val.boolean;
}

/* action_of names what was done as the function that does it. */
static const char *
action_of(const TriggerData *trigger, const EtlAuditEntry *entry, Jsonb *row)
{
	char **argument = trigger->tg_trigger->tgargs;

	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		return argument[ARG_INSERT];
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		return argument[ARG_DELETE];
	if (has_only((Jsonb *) entry->new_values, "paused"))
		return is_true(row, "paused") ? "pause_pipeline" : "resume_pipeline";
	if (has_only((Jsonb *) entry->new_values, "mute_until"))
		return "mute_alerts";
	return argument[ARG_UPDATE];
}

/* name_places fills in what the row is about. */
static void
name_places(const TriggerData *trigger, EtlAuditEntry *entry, Jsonb *row)
{
	const char *table = RelationGetRelationName(trigger->tg_relation);
	char *name = etl_member_text(row, trigger->tg_trigger->tgargs[ARG_NAME]);

	entry->pipeline_id = number_of(row, "pipeline_id");
	if (strcmp(table, "pipeline") == 0)
	{
		entry->pipeline = name;
		return;
	}
	if (strcmp(table, "task") == 0)
		entry->task = name;
	else
		entry->object = name;
	/* NULL while the pipeline itself is being dropped. */
	if (entry->pipeline_id != 0)
		entry->pipeline = etl_pipeline_name(entry->pipeline_id);
}

/* etl.audit_change() RETURNS trigger */
Datum
etl_audit_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	EtlAuditEntry entry = {0};
	TupleDesc desc;
	EtlNames hidden;
	Jsonb *old = NULL;
	Jsonb *new = NULL;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigger->tg_trigger->tgnargs < ARG_HIDDEN ||
		RelationGetNamespace(trigger->tg_relation) != get_namespace_oid("etl", false))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("etl.audit_change must be called by a trigger of etl_ext"),
						errdetail("It takes the row from the trigger."), errhint("Do not call it.")));
	entry.role = etl_catalog_caller();
	desc = RelationGetDescr(trigger->tg_relation);
	hidden.n = trigger->tg_trigger->tgnargs - ARG_HIDDEN;
	hidden.name = trigger->tg_trigger->tgargs + ARG_HIDDEN;
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		old = row_of(trigger->tg_trigtuple, desc);
	if (!TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		new = row_of(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple, desc);
	entry.old_values = etl_audit_log_differences(old, new, &hidden);
	entry.new_values = etl_audit_log_differences(new, old, &hidden);
	if (entry.old_values == NULL && entry.new_values == NULL)
		PG_RETURN_POINTER(NULL);
	name_places(trigger, &entry, new ? new : old);
	entry.action = action_of(trigger, &entry, new ? new : old);
	etl_audit_log_add(&entry);
	PG_RETURN_POINTER(NULL);
}

/* etl.audit_keep() RETURNS trigger */
Datum
etl_audit_keep(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("etl.audit_log is only added to"),
					errdetail("Its rows say who has done what, and stay."),
					errhint("A superuser who has to shorten it first disables the trigger \"keep\" of the table.")));
}
