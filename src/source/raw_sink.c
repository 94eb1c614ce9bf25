/*
 * raw_sink.c
 *		Appends the rows of one batch to the partition of a raw table. See raw_sink.h.
 *
 * Works as COPY does: rows are formed as tuples, buffered, and written with table_multi_insert through a ring of
 * buffers. All rows of a batch go to one partition, so that no routing is needed. The rights on the raw table were
 * checked by etl_raw_table_check; partitions need none of their own, as for an INSERT into the parent.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/spi.h"
#include "compat.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "observe/progress.h"
#include "source/partition.h"
#include "source/raw_index.h"
#include "source/raw_sink.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* The buffer is written when it has this many rows or bytes. */
#define MAX_ROWS 1000
#define MAX_BYTES 65536

struct EtlRawSink
{
	MemoryContext context;
	Relation raw;
	Relation leaf;
	EState *estate;
	ResultRelInfo *result;
	BulkInsertState bulk;
	EtlRawIndex *index;
	CommandId command;
	TupleTableSlot *slot[MAX_ROWS];
	int n;
	int64 buffered; /* bytes */
	int n_map;
	AttrNumber *target; /* per mapped column: attribute of the leaf */
	AttrNumber batch_att;
	AttrNumber loaded_att;
	AttrNumber op_att;
	Datum batch_id;
	Datum loaded_at;
	Datum op[2]; /* present, deleted */
	int64 rows;
	int64 bytes;
};

/* leaf_attribute returns the attribute of the leaf that has the name of an attribute of the raw table. */
static AttrNumber
leaf_attribute(const EtlRawSink *sink, AttrNumber attnum)
{
	return get_attnum(RelationGetRelid(sink->leaf), get_attname(RelationGetRelid(sink->raw), attnum, false));
}

/* check_leaf refuses a partition that rows cannot be appended to in bulk. */
static void
check_leaf(Relation leaf)
{
	if (leaf->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("partition %s of a raw table is not a plain table", etl_relation_name(RelationGetRelid(leaf))),
				 errhint("Raw tables have one level of partitions, all of them local tables.")));
	if (leaf->trigdesc && (leaf->trigdesc->trig_insert_before_row || leaf->trigdesc->trig_insert_after_row))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("partition %s of a raw table has row triggers", etl_relation_name(RelationGetRelid(leaf))),
				 errdetail("Rows are appended in bulk, which does not fire them."), errhint("Drop the triggers.")));
}

/* open_leaf finds and opens the partition for the batch. */
static void
open_leaf(EtlRawSink *sink, Oid raw, TimestampTz loaded_at)
{
	Oid leaf;

	sink->raw = table_open(raw, RowExclusiveLock);
	leaf = etl_partition_find(sink->raw, loaded_at);
	if (!OidIsValid(leaf))
		elog(ERROR, "raw table \"%s\" has no partition for its batch", RelationGetRelationName(sink->raw));
	sink->leaf = table_open(leaf, RowExclusiveLock);
	check_leaf(sink->leaf);
}

/* open_executor prepares what constraints need. */
static void
open_executor(EtlRawSink *sink)
{
	sink->estate = CreateExecutorState();
	sink->result = makeNode(ResultRelInfo);
	InitResultRelInfo(sink->result, sink->leaf, 1, NULL, 0);
	sink->bulk = GetBulkInsertState();
	/* The number of this transaction and of this command are drawn now, before a scan runs. */
	(void) GetCurrentTransactionId();
	sink->command = GetCurrentCommandId(true);
}

/* etl_raw_sink_open opens a sink. */
EtlRawSink *
etl_raw_sink_open(Oid raw, const EtlRawMap *map, int64 batch_id, TimestampTz loaded_at)
{
	EtlRawSink *sink = palloc0(sizeof(EtlRawSink));

	etl_progress_step(ETL_STEP_READ);
	etl_progress_part();
	sink->context = CurrentMemoryContext;
	open_leaf(sink, raw, loaded_at);
	open_executor(sink);
	sink->n_map = map->n;
	sink->target = palloc(sizeof(AttrNumber) * Max(map->n, 1));
	for (int i = 0; i < map->n; i++)
		sink->target[i] = leaf_attribute(sink, map->attnum[i]);
	sink->batch_att = get_attnum(RelationGetRelid(sink->leaf), ETL_RAW_BATCH);
	sink->loaded_att = get_attnum(RelationGetRelid(sink->leaf), ETL_RAW_LOADED_AT);
	sink->op_att = get_attnum(RelationGetRelid(sink->leaf), ETL_RAW_OP);
	sink->index = etl_raw_index_open(sink->result, sink->estate, sink->batch_att, sink->loaded_att);
	sink->batch_id = Int64GetDatum(batch_id);
	sink->loaded_at = TimestampTzGetDatum(loaded_at);
	sink->op[false] = CStringGetTextDatum("u");
	sink->op[true] = CStringGetTextDatum("d");
	return sink;
}

/* flush writes the buffered rows and their index entries. */
static void
flush(EtlRawSink *sink)
{
	MemoryContext old;

	if (sink->n == 0)
		return;
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(sink->estate));
	table_multi_insert(sink->leaf, sink->slot, sink->n, sink->command, 0, sink->bulk);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < sink->n; i++)
	{
		etl_raw_index_insert(sink->index, sink->slot[i]);
		ExecClearTuple(sink->slot[i]);
	}
	ResetPerTupleExprContext(sink->estate);
	etl_progress_add(sink->n, sink->buffered, etl_progress_counts_rows() ? sink->n : 0);
	sink->n = 0;
	sink->buffered = 0;
}

/* next_slot returns a free slot of the buffer; slots are made once and used again. */
static TupleTableSlot *
next_slot(EtlRawSink *sink)
{
	if (sink->slot[sink->n] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(sink->context);

		sink->slot[sink->n] = table_slot_create(sink->leaf, NULL);
		MemoryContextSwitchTo(old);
	}
	return ExecClearTuple(sink->slot[sink->n]);
}

/* fill_slot sets the columns of a raw row. */
static void
fill_slot(const EtlRawSink *sink, TupleTableSlot *row, TupleTableSlot *source, bool deleted)
{
	memset(row->tts_isnull, true, row->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < sink->n_map; i++)
	{
		row->tts_values[sink->target[i] - 1] = source->tts_values[i];
		row->tts_isnull[sink->target[i] - 1] = source->tts_isnull[i];
	}
	row->tts_values[sink->batch_att - 1] = sink->batch_id;
	row->tts_isnull[sink->batch_att - 1] = false;
	row->tts_values[sink->loaded_att - 1] = sink->loaded_at;
	row->tts_isnull[sink->loaded_att - 1] = false;
	row->tts_values[sink->op_att - 1] = sink->op[deleted];
	row->tts_isnull[sink->op_att - 1] = false;
	ExecStoreVirtualTuple(row);
}

/* tuple_bytes returns the size of a row, with the values that its source keeps out of line. */
static int64
tuple_bytes(HeapTuple tuple, TupleTableSlot *row)
{
	int64 bytes = tuple->t_len;

	if (!HeapTupleHasExternal(tuple))
		return bytes;
	slot_getallattrs(row);
	for (int i = 0; i < row->tts_tupleDescriptor->natts; i++)
		if (!row->tts_isnull[i] && TupleDescAttr(row->tts_tupleDescriptor, i)->attlen == -1 &&
			VARATT_IS_EXTERNAL(DatumGetPointer(row->tts_values[i])))
			bytes += toast_datum_size(row->tts_values[i]);
	return bytes;
}

/* etl_raw_sink_put buffers a row as a tuple of its own. */
void
etl_raw_sink_put(EtlRawSink *sink, TupleTableSlot *slot, bool deleted)
{
	TupleTableSlot *row = next_slot(sink);
	HeapTuple tuple;
	bool must_free;

	slot_getallattrs(slot);
	fill_slot(sink, row, slot, deleted);
	row->tts_tableOid = RelationGetRelid(sink->leaf);
	if (sink->leaf->rd_att->constr)
		ExecConstraints(sink->result, row, sink->estate);
	ExecMaterializeSlot(row);
	tuple = ExecFetchSlotHeapTuple(row, true, &must_free);
	sink->rows++;
	sink->bytes += tuple_bytes(tuple, row);
	sink->buffered += tuple->t_len;
	if (must_free)
		heap_freetuple(tuple);
	sink->n++;
	if (sink->n == MAX_ROWS || sink->buffered >= MAX_BYTES)
		flush(sink);
}

/* etl_raw_sink_close ends the batch. The locks stay until the end of the transaction. */
void
etl_raw_sink_close(EtlRawSink *sink, int64 *rows, int64 *bytes)
{
	flush(sink);
	for (int i = 0; i < MAX_ROWS && sink->slot[i]; i++)
		ExecDropSingleTupleTableSlot(sink->slot[i]);
	FreeBulkInsertState(sink->bulk);
	table_finish_bulk_insert(sink->leaf, 0);
	etl_raw_index_close(sink->index);
	FreeExecutorState(sink->estate);
	table_close(sink->leaf, NoLock);
	table_close(sink->raw, NoLock);
	*rows = sink->rows;
	*bytes = sink->bytes;
	CommandCounterIncrement();
}

/* etl_raw_sink_summarize finds the partition. */
void
etl_raw_sink_summarize(Oid raw, TimestampTz loaded_at, int64 appended)
{
	Relation rel = table_open(raw, AccessShareLock);
	Oid leaf = etl_partition_find(rel, loaded_at);

	table_close(rel, NoLock);
	if (OidIsValid(leaf))
		etl_raw_index_refresh(leaf, appended);
}
