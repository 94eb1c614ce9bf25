/*
 * deletes_keys.c
 *		Reads the keys of a source into a temporary table. See deletes_keys.h.
 *
 * A reader of the same kind as for the rows delivers the key columns alone, in the order of the key and in chunks. The
 * keys go to the table past SQL, because a sink is called while a query of the reader's is running.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/spi.h"
#include "miscadmin.h"
#include "source/deletes.h"
#include "source/deletes_keys.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* The buffer is written when it has this many keys. */
#define MAX_KEYS 1000

typedef struct KeySink
{
	EtlRowSink base;
	Relation rel;
	BulkInsertState bulk;
	CommandId command;
	MemoryContext context; /* of what is written at once */
	TupleTableSlot *slot[MAX_KEYS];
	int n;
	int64 total;
} KeySink;

/* flush writes the buffered keys. */
static void
flush(KeySink *sink)
{
	MemoryContext old;

	if (sink->n == 0)
		return;
	old = MemoryContextSwitchTo(sink->context);
	table_multi_insert(sink->rel, sink->slot, sink->n, sink->command, 0, sink->bulk);
	MemoryContextSwitchTo(old);
	MemoryContextReset(sink->context);
	for (int i = 0; i < sink->n; i++)
		ExecClearTuple(sink->slot[i]);
	sink->total += sink->n;
	sink->n = 0;
}

/* put_key buffers a key. A row without one cannot be told from others: it is left out, as it is in the raw table. */
static void
put_key(EtlRowSink *base, TupleTableSlot *row, bool deleted)
{
	KeySink *sink = (KeySink *) base;
	TupleTableSlot *slot = sink->slot[sink->n];
	int n = RelationGetDescr(sink->rel)->natts;

	slot_getsomeattrs(row, n);
	ExecClearTuple(slot);
	for (int i = 0; i < n; i++)
	{
		if (row->tts_isnull[i])
			return;
		slot->tts_values[i] = row->tts_values[i];
		slot->tts_isnull[i] = false;
	}
	ExecStoreVirtualTuple(slot);
	ExecMaterializeSlot(slot);
	if (++sink->n == MAX_KEYS)
		flush(sink);
}

/* open_sink opens the table for one chunk. */
static void
open_sink(KeySink *sink, Oid table)
{
	sink->rel = table_open(table, RowExclusiveLock);
	sink->bulk = GetBulkInsertState();
	(void) GetCurrentTransactionId();
	sink->command = GetCurrentCommandId(true);
	for (int i = 0; i < MAX_KEYS; i++)
		sink->slot[i] = MakeSingleTupleTableSlot(RelationGetDescr(sink->rel), &TTSOpsHeapTuple);
}

/* close_sink writes what is left. */
static void
close_sink(KeySink *sink)
{
	flush(sink);
	for (int i = 0; i < MAX_KEYS; i++)
		ExecDropSingleTupleTableSlot(sink->slot[i]);
	FreeBulkInsertState(sink->bulk);
	table_finish_bulk_insert(sink->rel, 0);
	table_close(sink->rel, NoLock);
	CommandCounterIncrement();
}

/*
 * describe_keys makes the request one for the key columns alone: no cursor, no other columns, so that the source may
 * answer from an index.
 */
static void
describe_keys(const EtlExtract *extract, EtlReadRequest *request)
{
	EtlTask *task = palloc(sizeof(EtlTask));
	EtlSource *source = etl_relation_describe(extract->source->oid, &extract->attempt->task->primary_key);
	const EtlNames *key = &extract->attempt->task->primary_key;

	*task = *extract->attempt->task;
	task->cursor_column = NULL;
	task->columns = *key;
	request->task = task;
	request->source = source;
	request->map = etl_raw_map_make(source, extract->raw);
}

/* create_table makes an empty table with the columns that the map fills in the raw table. */
static Oid
create_table(const EtlExtract *extract, const EtlRawMap *map, const char *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s ON COMMIT %s AS SELECT ", table,
					 extract->attempt->is_inline ? "DROP" : "PRESERVE ROWS");
	for (int i = 0; i < map->n; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(get_attname(extract->raw, map->attnum[i], false)));
	appendStringInfo(&sql, " FROM %s WHERE false", extract->attempt->task->target);
	(void) etl_sql_exec(sql.data, SPI_OK_UTILITY);
	CommandCounterIncrement();
	return etl_relation_find(table);
}

/*
 * open_reader asks for the keys as they are now, whatever snapshot the rows were read in: a key that is missing then has
 * gone, because every row of the raw table was read before.
 */
static const EtlRawMap *
open_reader(EtlExtract *extract)
{
	EtlReadRequest request = extract->request;
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	const char *reason = NULL;

	describe_keys(extract, &request);
	request.snapshot = NULL;
	request.filter = etl_deletes_scope(extract->attempt->task);
	request.deleted = NULL;
	request.lower = NULL;
	request.below = NULL;
	request.null_cursors = true;
	request.by_key = true;
	request.after = NULL;
	request.until = NULL;
	extract->reader = etl_reader_open(&request, &reason);
	extract->reader->attempt = extract->attempt;
	MemoryContextSwitchTo(old);
	return request.map;
}

/* read_chunk reads some keys; false: there are no more. */
static bool
read_chunk(EtlExtract *extract, Oid table, int64 *total)
{
	const EtlReaderRoutine *routine = extract->reader->routine;
	MemoryContext old;
	EtlReadState state = {0};
	KeySink *sink;
	bool more;

	if (!routine->fetch_in_transaction)
	{
		etl_attempt_pause(extract->attempt);
		(void) routine->next_batch(extract->reader, NULL);
		etl_attempt_resume(extract->attempt);
	}
	old = MemoryContextSwitchTo(extract->batch_context);
	sink = palloc0(sizeof(KeySink));
	sink->base.put = put_key;
	sink->context = AllocSetContextCreate(extract->batch_context, "etl keys", ALLOCSET_DEFAULT_SIZES);
	open_sink(sink, table);
	more = routine->next_batch(extract->reader, &sink->base);
	close_sink(sink);
	routine->state(extract->reader, &state);
	*total += sink->total;
	MemoryContextSwitchTo(old);
	MemoryContextReset(extract->batch_context);
	return more;
}

/* etl_deletes_read_keys reads all keys. */
int64
etl_deletes_read_keys(EtlExtract *extract, const char *table)
{
	int64 total = 0;
	Oid relid;

	etl_extract_close(extract);
	relid = create_table(extract, open_reader(extract), table);
	while (read_chunk(extract, relid, &total))
		etl_attempt_step(extract->attempt);
	etl_extract_close(extract);
	(void) etl_sql_exec(psprintf("ANALYZE %s", table), SPI_OK_UTILITY);
	return total;
}
