/*
 * no_overlap.c
 *		Constraint trigger etl.no_overlap: the versions of a key in a dimension do not overlap.
 *
 * What EXCLUDE USING gist (key WITH =, range WITH &&) enforces, at a quarter of its cost: the unique index on the key and
 * valid_from has the versions of a key in their order, so that a row can only overlap the one before it, unless two
 * others overlap already. Works as exclusion constraints do: each writer first writes its row and then looks for others,
 * also those that are not committed yet, and waits for their transactions. Of two writers at the same time at least one
 * sees the other. It looks at the end of each statement, so that rows may overlap in the middle of one.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_index.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "load/history.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(etl_no_overlap);

/* What a statement needs to look at its rows; lives as long as the statement. */
typedef struct Watch
{
	Oid index;
	int n_key;							   /* columns of the index before valid_from */
	AttrNumber column[INDEX_MAX_KEYS];	   /* of the table, in the order of the index */
	ScanKeyData condition[INDEX_MAX_KEYS]; /* key = ..., valid_from < ... */
	AttrNumber valid_to;
	FmgrInfo is_less; /* of times */
	Oid time_type;
	TupleTableSlot *slot;
} Watch;

/* A row that was written. */
typedef struct Version
{
	ItemPointerData tid;
	Datum value[INDEX_MAX_KEYS]; /* of the index */
	Datum valid_to;
} Version;

/* is_guard says whether an index is unique on the columns that the trigger names and valid_from after them. */
static bool
is_guard(Relation index, const Trigger *trigger, Oid relation)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indisvalid || form->indnkeyatts != trigger->tgnargs + 1 ||
		RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL)
		return false;
	if (form->indkey.values[trigger->tgnargs] != get_attnum(relation, ETL_VALID_FROM))
		return false;
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		AttrNumber wanted = get_attnum(relation, trigger->tgargs[i]);
		bool found = false;

		for (int j = 0; j < trigger->tgnargs; j++)
			found = found || form->indkey.values[j] == wanted;
		if (!found)
			return false;
	}
	return true;
}

/* fill_watch takes from the index how its columns are compared. */
static void
fill_watch(Watch *watch, Relation table, Relation index)
{
	watch->index = RelationGetRelid(index);
	watch->n_key = index->rd_index->indnkeyatts - 1;
	for (int i = 0; i <= watch->n_key; i++)
	{
		StrategyNumber strategy = i < watch->n_key ? BTEqualStrategyNumber : BTLessStrategyNumber;
		Oid type = index->rd_opcintype[i];
		Oid operator_oid = get_opfamily_member(index->rd_opfamily[i], type, type, strategy);

		watch->column[i] = index->rd_index->indkey.values[i];
		ScanKeyEntryInitialize(&watch->condition[i], 0, i + 1, strategy, InvalidOid, index->rd_indcollation[i],
							   get_opcode(operator_oid), (Datum) 0);
	}
	watch->valid_to = get_attnum(RelationGetRelid(table), ETL_VALID_TO);
	watch->time_type = get_atttype(RelationGetRelid(table), watch->valid_to);
	fmgr_info_copy(&watch->is_less, &watch->condition[watch->n_key].sk_func, CurrentMemoryContext);
	/* With a description of its own, because nobody drops the slot when the statement ends. */
	watch->slot = MakeSingleTupleTableSlot(CreateTupleDescCopyConstr(RelationGetDescr(table)),
										   table_slot_callbacks(table));
}

/* find_watch returns what is known about the table, looked up once in a statement. Errors: 55000. */
static Watch *
find_watch(FunctionCallInfo fcinfo, const TriggerData *data)
{
	Oid relation = RelationGetRelid(data->tg_relation);
	Watch *watch = fcinfo->flinfo->fn_extra;
	MemoryContext caller;
	ListCell *cell;

	if (watch != NULL)
		return watch;
	caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	watch = palloc0(sizeof(Watch));
	foreach (cell, RelationGetIndexList(data->tg_relation))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (!OidIsValid(watch->index) && is_guard(index, data->tg_trigger, relation))
			fill_watch(watch, data->tg_relation, index);
		index_close(index, AccessShareLock);
	}
	MemoryContextSwitchTo(caller);
	if (!OidIsValid(watch->index) || watch->valid_to == InvalidAttrNumber || data->tg_trigger->tgnargs == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("trigger \"%s\" of table %s finds no unique index on its columns and " ETL_VALID_FROM,
							   data->tg_trigger->tgname, RelationGetRelationName(data->tg_relation)),
						errdetail("The index has the versions of each key in their order."),
						errhint("Name the key's columns as arguments of the trigger, and ALTER TABLE ... ADD UNIQUE"
								" (those columns, " ETL_VALID_FROM ").")));
	fcinfo->flinfo->fn_extra = watch;
	return watch;
}

/* is_there says whether a row has not been deleted or updated since. */
static bool
is_there(const Watch *watch, Relation table, TupleTableSlot *slot)
{
	bool found = table_tuple_fetch_row_version(table, &slot->tts_tid, SnapshotSelf, watch->slot);

	ExecClearTuple(watch->slot);
	return found;
}

/* read_version takes a row apart; false: it has no key. */
static bool
read_version(const Watch *watch, TupleTableSlot *slot, Version *version)
{
	bool is_null = false;

	version->tid = slot->tts_tid;
	for (int i = 0; i <= watch->n_key && !is_null; i++)
		version->value[i] = slot_getattr(slot, watch->column[i], &is_null);
	if (!is_null)
		version->valid_to = slot_getattr(slot, watch->valid_to, &is_null);
	return !is_null;
}

/* time_text returns a time for people to read. */
static char *
time_text(const Watch *watch, Datum value)
{
	Oid output;
	bool is_varlena;

	getTypeOutputInfo(watch->time_type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

/* refuse reports two versions that overlap. */
static void
refuse(const Watch *watch, Relation table, Relation index, Version *version, TupleTableSlot *other, const char *trigger)
{
	Datum value[INDEX_MAX_KEYS];
	Datum other_to;
	bool is_null[INDEX_MAX_KEYS] = {false};
	char *written = BuildIndexValueDescription(index, version->value, is_null);
	char *found;

	for (int i = 0; i <= watch->n_key; i++)
		value[i] = slot_getattr(other, watch->column[i], &is_null[i]);
	other_to = slot_getattr(other, watch->valid_to, &is_null[watch->n_key + 1]);
	found = BuildIndexValueDescription(index, value, is_null);
	ereport(ERROR, (errcode(ERRCODE_EXCLUSION_VIOLATION),
					errmsg("versions of a key overlap in table \"%s\"", RelationGetRelationName(table)),
					written == NULL || found == NULL
						? 0
						: errdetail("Version %s, valid to %s, overlaps version %s, valid to %s.", written,
									time_text(watch, version->valid_to), found, time_text(watch, other_to)),
					errtableconstraint(table, trigger)));
}

/* is_before says whether a time lies before another. */
static bool
is_before(Watch *watch, Datum left, Datum right)
{
	return DatumGetBool(FunctionCall2(&watch->is_less, left, right));
}

/*
 * find_other returns false, or true with a version in slot that begins before the end of this one and ends after its
 * begin. Of the versions that begin before the end of this one only the last can, see above; but a row that another
 * transaction has just written, updated or deleted says nothing about those before it.
 */
static bool
find_other(Watch *watch, IndexScanDesc scan, const SnapshotData *snapshot, Version *version, TupleTableSlot *slot)
{
	bool is_null;

	while (index_getnext_slot(scan, BackwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (ItemPointerEquals(&slot->tts_tid, &version->tid))
			continue;
		if (is_before(watch, version->value[watch->n_key], slot_getattr(slot, watch->valid_to, &is_null)))
			return true;
		if (!TransactionIdIsValid(snapshot->xmin) && !TransactionIdIsValid(snapshot->xmax))
			return false;
	}
	return false;
}

/* wait_for waits for the transaction that has written or deleted the row in slot; false: that is settled. */
static bool
wait_for(const SnapshotData *snapshot, Relation table, TupleTableSlot *slot)
{
	TransactionId writer = TransactionIdIsValid(snapshot->xmin) ? snapshot->xmin : snapshot->xmax;

	if (!TransactionIdIsValid(writer))
		return false;
	if (snapshot->speculativeToken != 0)
		SpeculativeInsertionWait(writer, snapshot->speculativeToken);
	else
		XactLockTableWait(writer, table, &slot->tts_tid, XLTW_RecheckExclusionConstr);
	return true;
}

/* is_within says whether a version had its key and whole interval before; then it overlaps nothing that it did not before. */
static bool
is_within(Watch *watch, const Version *version, const Version *before)
{
	for (int i = 0; i < watch->n_key; i++)
	{
		ScanKey equal = &watch->condition[i];

		if (!DatumGetBool(FunctionCall2Coll(&equal->sk_func, equal->sk_collation, version->value[i], before->value[i])))
			return false;
	}
	return !is_before(watch, version->value[watch->n_key], before->value[watch->n_key]) &&
		   !is_before(watch, before->valid_to, version->valid_to);
}

/* check_version raises an error when another version overlaps. */
static void
check_version(Watch *watch, Relation table, Version *version, const char *trigger)
{
	Relation index = index_open(watch->index, AccessShareLock);
	TupleTableSlot *slot = watch->slot;
	bool is_open = true;

	for (int i = 0; i < watch->n_key; i++)
		watch->condition[i].sk_argument = version->value[i];
	watch->condition[watch->n_key].sk_argument = version->valid_to;
	while (is_open)
	{
		SnapshotData snapshot;
		IndexScanDesc scan;

		InitDirtySnapshot(snapshot);
		scan = index_beginscan(table, index, &snapshot, watch->n_key + 1, 0);
		index_rescan(scan, watch->condition, watch->n_key + 1, NULL, 0);
		if (!find_other(watch, scan, &snapshot, version, slot))
		{
			index_endscan(scan);
			break;
		}
		index_endscan(scan);
		is_open = wait_for(&snapshot, table, slot);
		if (!is_open)
			refuse(watch, table, index, version, slot, trigger);
	}
	ExecClearTuple(slot);
	index_close(index, AccessShareLock);
}

/* look_at checks a row that was written. */
static void
look_at(Watch *watch, const TriggerData *data)
{
	bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	TupleTableSlot *slot = is_update ? data->tg_newslot : data->tg_trigslot;
	Version version;
	Version before;

	if (!read_version(watch, slot, &version) ||
		(is_update && read_version(watch, data->tg_trigslot, &before) && is_within(watch, &version, &before)) ||
		!is_there(watch, data->tg_relation, slot))
		return;
	check_version(watch, data->tg_relation, &version, data->tg_trigger->tgname);
}

/* etl_no_overlap is the trigger. */
Datum
etl_no_overlap(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(data->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("etl.no_overlap must be called as a trigger AFTER INSERT OR UPDATE FOR EACH ROW"),
						errhint("Use CREATE CONSTRAINT TRIGGER.")));
	look_at(find_watch(fcinfo, data), data);
	return PointerGetDatum(NULL);
}
