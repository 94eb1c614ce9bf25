/*
 * guard.c
 *		The guard over what tasks name. See guard.h.
 *
 * The object access hook hears of every object that is dropped or altered, in whatever way: by name, by CASCADE, with its
 * schema, its server, its owner, by inheritance. It notes what the object was called, nothing more: in the middle of a
 * statement the catalogs are no place for questions. When the statement has ended, what was noted is compared with what
 * is there, and what has gone or changed is looked up. An error then takes the statement back.
 *
 * What a task does itself is not guarded: it may drop and make its tables anew. Where the library is not preloaded, an
 * event trigger loads it before the statement.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/task_reference.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "contract/guard.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "worker/context.h"

PG_FUNCTION_INFO_V1(etl_guard_ddl);

enum
{
	GUARD_OFF,
	GUARD_WARNING,
	GUARD_ERROR
};

static const struct config_enum_entry levels[] = {
	{"off", GUARD_OFF, false}, {"warning", GUARD_WARNING, false}, {"error", GUARD_ERROR, false}, {NULL, 0, false}};

/* Most changes that are told of. */
#define MOST_TOLD 20

/* Something as it was before it was touched. */
typedef struct Touched
{
	Oid class;
	Oid object;
	int16 column;
	char *schema;	/* of a schema, its name; otherwise quoted already in relation */
	char *relation; /* schema-qualified */
	char *name;		/* of the column */
	Oid type;
	int32 typmod;
	Oid collation;
} Touched;

static int guard_level = GUARD_WARNING;
static object_access_hook_type next_hook = NULL;
static List *touched = NIL; /* in TopTransactionContext */
static bool reporting = false;

/* is_watched says whether a relation may be named by tasks. */
static bool
is_watched(Oid relation)
{
	Oid schema = get_rel_namespace(relation);

	switch (get_rel_relkind(relation))
	{
		case RELKIND_RELATION:
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
		case RELKIND_FOREIGN_TABLE:
		case RELKIND_PARTITIONED_TABLE:
			break;
		default:
			return false;
	}
	return OidIsValid(schema) && !IsCatalogNamespace(schema) && !isAnyTempNamespace(schema) &&
		   schema != get_namespace_oid("etl", true);
}

/* is_noted says whether something was touched before by the same statement. */
static bool
is_noted(Oid class, Oid object, int column)
{
	ListCell *lc;

	foreach (lc, touched)
	{
		const Touched *item = lfirst(lc);

		if (item->class == class && item->object == object && item->column == column)
			return true;
	}
	return false;
}

/* note_relation notes a relation or one of its columns; once: it cannot have been noted before. */
static void
note_relation(Oid relation, int column, bool once)
{
	Touched *item;

	if (!is_watched(relation) || (!once && is_noted(RelationRelationId, relation, column)))
		return;
	item = palloc0(sizeof(Touched));
	item->class = RelationRelationId;
	item->object = relation;
	item->column = column;
	item->relation = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
												get_rel_name(relation));
	if (column > 0)
	{
		item->name = get_attname(relation, column, true);
		if (item->name == NULL)
			return;
		get_atttypetypmodcoll(relation, column, &item->type, &item->typmod, &item->collation);
	}
	touched = lappend(touched, item);
}

/* note_schema notes a schema. */
static void
note_schema(Oid schema)
{
	Touched *item;

	if (IsCatalogNamespace(schema) || isAnyTempNamespace(schema) || is_noted(NamespaceRelationId, schema, 0))
		return;
	item = palloc0(sizeof(Touched));
	item->class = NamespaceRelationId;
	item->object = schema;
	item->schema = get_namespace_name(schema);
	if (item->schema)
		touched = lappend(touched, item);
}

/* on_access is the hook. */
static void
on_access(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
{
	MemoryContext old;

	if (next_hook)
		next_hook(access, class, object, column, arg);
	if ((access != OAT_DROP && access != OAT_POST_ALTER) || guard_level == GUARD_OFF || reporting ||
		!IsTransactionState() || etl_context_exists() || InitializingParallelWorker ||
		(class != RelationRelationId && class != NamespaceRelationId))
		return;
	/* Parts of other objects, and what PostgreSQL makes for a moment. */
	if (access == OAT_DROP && (((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL) != 0)
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	if (class == RelationRelationId)
		note_relation(object, column, access == OAT_DROP);
	else if (access == OAT_POST_ALTER)
		note_schema(object);
	MemoryContextSwitchTo(old);
}

/* change_of says what has become of a relation, in words; NULL: nothing. */
static char *
change_of(const Touched *item)
{
	char *name = get_rel_name(item->object);
	char *now;

	if (name == NULL)
		return psprintf("relation %s is dropped", item->relation);
	now = quote_qualified_identifier(get_namespace_name(get_rel_namespace(item->object)), name);
	return strcmp(now, item->relation) == 0 ? NULL : psprintf("relation %s becomes %s", item->relation, now);
}

/* column_name returns the name of a column; NULL: it was dropped. */
static char *
column_name(Oid relation, AttrNumber column)
{
	HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(column));
	char *name = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	if (!((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped)
		name = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	ReleaseSysCache(tuple);
	return name;
}

/* change_of_column says what has become of a column; NULL: nothing, or it is gone with its relation. */
static char *
change_of_column(const Touched *item)
{
	char *name;
	Oid type;
	int32 typmod;
	Oid collation;

	if (get_rel_name(item->object) == NULL)
		return NULL;
	name = column_name(item->object, item->column);
	if (name == NULL)
		return psprintf("column %s of %s is dropped", quote_identifier(item->name), item->relation);
	if (strcmp(name, item->name) != 0)
		return psprintf("column %s of %s becomes %s", quote_identifier(item->name), item->relation,
						quote_identifier(name));
	get_atttypetypmodcoll(item->object, item->column, &type, &typmod, &collation);
	if (type == item->type && typmod == item->typmod)
		return NULL;
	return psprintf("column %s of %s turns from %s into %s", quote_identifier(item->name), item->relation,
					format_type_with_typemod(item->type, item->typmod), format_type_with_typemod(type, typmod));
}

/* describe says what has become of something and whom it concerns; NULL: nobody. */
static char *
describe(const Touched *item)
{
	char *change;
	char *users;

	if (item->class == NamespaceRelationId)
	{
		char *name = get_namespace_name(item->object);

		if (name == NULL || strcmp(name, item->schema) == 0)
			return NULL;
		change = psprintf("schema %s becomes %s", quote_identifier(item->schema), quote_identifier(name));
		users = etl_task_reference_schema_users(item->schema);
	}
	else
	{
		change = item->column > 0 ? change_of_column(item) : change_of(item);
		users = change ? etl_task_reference_users(item->relation, item->name) : NULL;
	}
	return users ? psprintf("%s: %s", change, users) : NULL;
}

/* describe_all goes through what was touched; NULL: nobody is concerned. */
static char *
describe_all(List *items)
{
	StringInfoData text;
	ListCell *lc;
	int n = 0;

	initStringInfo(&text);
	foreach (lc, items)
	{
		char *line;

		CHECK_FOR_INTERRUPTS();
		line = describe(lfirst(lc));
		if (line != NULL && n++ < MOST_TOLD)
		{
			line[0] = pg_toupper((unsigned char) line[0]);
			appendStringInfo(&text, "%s%s.", text.len > 0 ? "\n" : "", line);
		}
	}
	if (n > MOST_TOLD)
		appendStringInfo(&text, "\nThere are %d more.", n - MOST_TOLD);
	return n > 0 ? text.data : NULL;
}

/* etl_guard_report compares and tells. */
void
etl_guard_report(void)
{
	List *items = touched;
	char *detail;

	if (items == NIL || reporting)
		return;
	touched = NIL;
	/* The script of the extension, its update and its end concern the extension. */
	if (creating_extension || !etl_catalog_exists())
		return;
	CommandCounterIncrement();
	reporting = true;
	detail = describe_all(items);
	reporting = false;
	if (detail == NULL)
		return;
	if (guard_level == GUARD_ERROR)
		ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST), errmsg("pipelines need what this would change"),
						errdetail("%s", detail),
						errhint("Change the tasks first, with etl.alter_task or etl.drop_task, and the contract with "
								"etl.set_contract. SET etl.guard_ddl = 'warning' lets the statement through; who is no "
								"superuser needs GRANT SET ON PARAMETER etl.guard_ddl.")));
	ereport(WARNING, (errmsg("pipelines need what this changes"), errdetail("%s", detail),
					  errhint("Change the tasks, too, with etl.alter_task or etl.drop_task, or roll back.")));
}

/* etl.guard_ddl() RETURNS event_trigger */
Datum
etl_guard_ddl(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("etl.guard_ddl was not called by an event trigger"),
						errdetail("PostgreSQL calls it for statements that change tables."),
						errhint("SET etl.guard_ddl chooses what it does.")));
	if (strcmp(((EventTriggerData *) fcinfo->context)->event, "ddl_command_end") == 0)
		etl_guard_report();
	PG_RETURN_NULL();
}

/* forget drops what was noted: its memory goes with the transaction. */
static void
forget(XactEvent event, void *arg)
{
	touched = NIL;
	reporting = false;
}

/* forget_failed drops what a statement has noted that failed. */
static void
forget_failed(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		touched = NIL;
		reporting = false;
	}
}

/* etl_guard_init is called once. */
void
etl_guard_init(void)
{
	DefineCustomEnumVariable("etl.guard_ddl",
							 "What becomes of statements that drop, rename or retype what tasks and contracts name.",
							 "off: nothing; warning: they are told of; error: they are refused.", &guard_level,
							 GUARD_WARNING, levels, PGC_SUSET, 0, NULL, NULL, NULL);
	next_hook = object_access_hook;
	object_access_hook = on_access;
	RegisterXactCallback(forget, NULL);
	RegisterSubXactCallback(forget_failed, NULL);
}
