/*
 * overlap.c
 *		The rows that a raw table has already. See overlap.h.
 *
 * A row is kept as two 64-bit hashes of the text of its columns: of its primary key and of all of it. With a primary
 * key only the latest form of each key counts, so that a row which changed and changed back is appended again. Without
 * one, equal rows are counted: as many as the raw table has are left out. Rows are looked up only up to the highest
 * cursor value that the raw table has; rows without a cursor, where they are read again, always.
 *
 * A column that the raw table got after rows were loaded is left out of the comparison: they do not have it.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/batch.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "catalog/schema_event.h"
#include "common/hashfn.h"
#include "catalog/spi.h"
#include "fmgr.h"
#include "guc.h"
#include "catalog/watermark.h"
#include "source/overlap.h"
#include "source/stream.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

typedef struct Kept
{
	uint64 key;
	uint64 image;
	uint32 count;
	char status;
} Kept;

#define SH_PREFIX kept
#define SH_ELEMENT_TYPE Kept
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(tb, k) ((uint32) ((k) ^ (k >> 32)))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

/* A raw column: how to print it and what it is for. */
typedef struct Printed
{
	AttrNumber attnum;
	bool is_key;
	FmgrInfo output;
} Printed;

struct EtlOverlap
{
	MemoryContext context;
	struct kept_hash *table;
	MemoryContext row_context; /* emptied after each row */
	bool has_key;
	bool with_nulls; /* rows without a cursor are looked up too */
	bool full;
	int n; /* columns of the raw table but for batch, time and op */
	Printed *column;
	int *of_map; /* per column of the request's map: index in column */
	int n_map;
	Oid cursor;		   /* its type */
	FmgrInfo *compare; /* of the cursor */
	Oid collation;
	Datum reached; /* highest cursor value that the raw table has */
};

/* fold adds a column's text to a hash; its place counts, so that (a, NULL) and (NULL, a) differ. */
static uint64
fold(uint64 hash, AttrNumber attnum, const char *text)
{
	uint64 next = hash_bytes_extended((const unsigned char *) text, (int) strlen(text), (uint64) attnum);

	return hash_combine64(hash, next);
}

/* A row's hashes while its columns are folded in. */
typedef struct RowHash
{
	uint64 key;
	uint64 image;
} RowHash;

/* fold_column adds one column. Columns come in the order of the raw table in both directions. */
static void
fold_column(EtlOverlap *overlap, RowHash *row, int i, Datum value)
{
	Printed *column = &overlap->column[i];
	char *text = OutputFunctionCall(&column->output, value);

	row->image = fold(row->image, column->attnum, text);
	if (column->is_key || !overlap->has_key)
		row->key = fold(row->key, column->attnum * 31, text);
}

/* fold_deleted makes a deleted row another one than the same row before; its key stays. */
static void
fold_deleted(RowHash *row, bool deleted)
{
	if (deleted)
		row->image = fold(row->image, 0, "d");
}

/* keep_row takes a row of the raw table, in the order of the batches: the last form of a key wins. */
static void
keep_row(TupleTableSlot *slot, void *arg)
{
	EtlOverlap *overlap = arg;
	MemoryContext old = MemoryContextSwitchTo(overlap->row_context);
	RowHash row = {0, 0};
	Kept *kept;
	bool found = true;

	slot_getallattrs(slot);
	for (int i = 0; i < overlap->n; i++)
		if (!slot->tts_isnull[i])
			fold_column(overlap, &row, i, slot->tts_values[i]);
	fold_deleted(&row, DatumGetBool(slot->tts_values[overlap->n]));
	MemoryContextSwitchTo(old);
	MemoryContextReset(overlap->row_context);
	if (overlap->table->members < (uint32) etl_compare_rows)
		kept = kept_insert(overlap->table, row.key, &found);
	else
		kept = kept_lookup(overlap->table, row.key);
	if (kept == NULL)
	{
		overlap->full = true;
		return;
	}
	if (!found)
		kept->count = 0;
	kept->image = row.image;
	kept->count++;
}

/* is_in says whether a name is in a list. */
static bool
is_in(const EtlNames *names, const char *name)
{
	for (int i = 0; i < names->n; i++)
		if (strcmp(names->name[i], name) == 0)
			return true;
	return false;
}

/* is_own says whether a column is one that etl_ext fills in and that says nothing about the row. */
static bool
is_own(const char *name)
{
	return strcmp(name, ETL_RAW_BATCH) == 0 || strcmp(name, ETL_RAW_LOADED_AT) == 0 || strcmp(name, ETL_RAW_OP) == 0 ||
		   strcmp(name, ETL_RAW_EXTRA) == 0;
}

/* list_columns fills the columns of the raw table that are compared, and returns them as a select list. */
static char *
list_columns(EtlOverlap *overlap, const EtlReadRequest *request, Oid raw, const EtlNames *younger)
{
	Relation rel = table_open(raw, AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	StringInfoData list;

	initStringInfo(&list);
	overlap->column = palloc0(sizeof(Printed) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Printed *column = &overlap->column[overlap->n];
		Oid output;
		bool varlena;

		if (att->attisdropped || is_own(NameStr(att->attname)) || is_in(younger, NameStr(att->attname)))
			continue;
		getTypeOutputInfo(att->atttypid, &output, &varlena);
		fmgr_info(output, &column->output);
		column->attnum = att->attnum;
		column->is_key = is_in(&request->task->primary_key, NameStr(att->attname));
		appendStringInfo(&list, "%s%s", overlap->n ? ", " : "", quote_identifier(NameStr(att->attname)));
		overlap->n++;
	}
	table_close(rel, NoLock);
	return list.data;
}

/* map_columns finds for each compared column its place in the rows to come; -1: it is not in them. */
static void
map_columns(EtlOverlap *overlap, const EtlRawMap *map)
{
	overlap->n_map = map->n;
	overlap->of_map = palloc(sizeof(int) * overlap->n);
	for (int i = 0; i < overlap->n; i++)
	{
		overlap->of_map[i] = -1;
		for (int j = 0; j < map->n; j++)
			if (map->attnum[j] == overlap->column[i].attnum)
				overlap->of_map[i] = j;
	}
}

/* set_cursor keeps the highest value as a value of the cursor's type. */
static void
set_cursor(EtlOverlap *overlap, const EtlColumn *cursor, const char *reached)
{
	Oid input;
	Oid ioparam;

	getTypeInputInfo(cursor->type, &input, &ioparam);
	overlap->cursor = cursor->type;
	overlap->reached = OidInputFunctionCall(input, pstrdup(reached), ioparam, -1);
	overlap->compare = &lookup_type_cache(cursor->type, TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo;
	overlap->collation = OidIsValid(cursor->collation) ? C_COLLATION_OID : InvalidOid;
}

/*
 * counted_only returns a condition that leaves out the batches of backfills where equal rows are counted: a row that was
 * read twice would stand for two, and hide one that the source got since.
 */
static char *
counted_only(const EtlOverlap *overlap, const EtlReadRequest *request, int64 first)
{
	char *batches = overlap->has_key ? NULL : etl_batch_backfilled(request->task->target, first);

	return batches ? psprintf(" AND %s <> ALL ('%s'::bigint[])", ETL_RAW_BATCH, batches) : "";
}

/* without_cursor returns the condition for the rows whose cursor is NULL or one that nothing is ever above or below. */
static char *
without_cursor(const EtlColumn *cursor)
{
	const char *name = quote_identifier(cursor->name);
	const char *ends = cursor->type == NUMERICOID ? "{-infinity,infinity,NaN}" : "{-infinity,infinity}";

	switch (cursor->type)
	{
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case DATEOID:
		case NUMERICOID:
			return psprintf("%s IS NULL OR %s = ANY ('%s'::%s[])", name, name, ends, etl_value_type(cursor->type));
		default:
			return psprintf("%s IS NULL", name);
	}
}

/* cursor_name returns the cursor as it is compared. */
static char *
cursor_name(const EtlColumn *cursor)
{
	return psprintf("%s%s", quote_identifier(cursor->name), OidIsValid(cursor->collation) ? " COLLATE \"C\"" : "");
}

/* rows_between returns the condition for the rows within the bounds; all that have a cursor when there are none. */
static char *
rows_between(const EtlReadRequest *request, const EtlColumn *cursor, const EtlBatchReach *reach)
{
	char *name = cursor_name(cursor);
	char *below = request->below ? psprintf(" AND %s < %s", name, etl_value_literal(cursor->type, request->below)) : "";

	if (request->lower == NULL)
		return psprintf("(%s IS NOT NULL%s)", name, below);
	return psprintf("(%s >= '%s'::timestamptz AND %s >= " INT64_FORMAT " AND %s >= %s%s)", ETL_RAW_LOADED_AT,
					timestamptz_to_str(reach->loaded_from), ETL_RAW_BATCH, reach->first, name,
					etl_value_literal(cursor->type, request->lower), below);
}

/* find_reach finds the first batch to look into; false: there can be no row that will be read again. */
static bool
find_reach(const EtlReadRequest *request, const EtlColumn *cursor, EtlBatchReach *reach)
{
	bool all = request->lower == NULL || request->null_cursors;

	reach->first = 0;
	reach->loaded_from = DT_NOBEGIN;
	if (request->lower && etl_batch_reaching(request->task, cursor->type, request->lower, reach))
		return true;
	return all;
}

/* read_raw keeps the rows of the raw table that may be read again. */
static void
read_raw(EtlOverlap *overlap, const EtlReadRequest *request, const EtlColumn *cursor, const EtlBatchReach *reach,
		 const char *list)
{
	char *rows = rows_between(request, cursor, reach);

	if (request->null_cursors)
		rows = psprintf("(%s OR %s)", rows, without_cursor(cursor));
	(void) etl_stream_query(psprintf("SELECT %s%s" ETL_RAW_OP " = 'd' FROM %s WHERE %s%s ORDER BY %s", list,
									 list[0] ? ", " : "", request->task->target, rows,
									 counted_only(overlap, request, request->null_cursors ? 0 : reach->first),
									 ETL_RAW_BATCH),
							keep_row, overlap);
}

/* open_at fills an overlap in; the current memory context is its own. */
static EtlOverlap *
open_at(const EtlReadRequest *request, Oid raw, const char *reached, const EtlColumn *cursor,
		const EtlBatchReach *reach)
{
	EtlOverlap *overlap = palloc0(sizeof(EtlOverlap));
	EtlNames younger;
	char *list;
	int level = NewGUCNestLevel();

	etl_value_pin_settings();
	overlap->context = CurrentMemoryContext;
	overlap->has_key = request->task->primary_key.n > 0;
	overlap->with_nulls = request->null_cursors;
	younger = etl_schema_event_added(request->task->target, request->null_cursors ? DT_NOBEGIN : reach->loaded_from);
	list = list_columns(overlap, request, raw, &younger);
	map_columns(overlap, request->map);
	set_cursor(overlap, cursor, reached);
	overlap->table = kept_create(CurrentMemoryContext, 1024, NULL);
	overlap->row_context = AllocSetContextCreate(CurrentMemoryContext, "etl overlap row", ALLOCSET_DEFAULT_SIZES);
	read_raw(overlap, request, cursor, reach, list);
	AtEOXact_GUC(false, level);
	return overlap;
}

/* etl_overlap_open reads the raw table's rows of this extract's batches that lie within the bounds. */
EtlOverlap *
etl_overlap_open(const EtlReadRequest *request, Oid raw, const char *reached)
{
	const EtlColumn *cursor = etl_relation_column(request->source, request->task->cursor_column);
	EtlOverlap *overlap;
	EtlBatchReach reach;
	MemoryContext old;

	if (!find_reach(request, cursor, &reach))
		return NULL;
	old = MemoryContextSwitchTo(AllocSetContextCreate(CurrentMemoryContext, "etl overlap", ALLOCSET_DEFAULT_SIZES));
	overlap = open_at(request, raw, reached, cursor, &reach);
	MemoryContextSwitchTo(old);
	return overlap;
}

/* etl_overlap_close frees everything. */
void
etl_overlap_close(EtlOverlap *overlap)
{
	if (overlap)
		MemoryContextDelete(overlap->context);
}

/* etl_overlap_cut leaves room for what comes at the same value as the last row that can be held. */
char *
etl_overlap_cut(const EtlReadRequest *request)
{
	const EtlColumn *cursor = etl_relation_column(request->source, request->task->cursor_column);
	EtlBatchReach reach;
	char *name = cursor_name(cursor);
	char *more;
	char *cut;
	int level;

	if (!find_reach(request, cursor, &reach))
		return NULL;
	level = NewGUCNestLevel();
	etl_value_pin_settings();
	more = psprintf("SELECT %s FROM %s WHERE %s", name, request->task->target, rows_between(request, cursor, &reach));
	cut = etl_sql_text(psprintf("%s ORDER BY 1 OFFSET %d LIMIT 1", more, etl_compare_rows / 2));
	/* The cut itself belongs to the next part, so that it has to be above the start of this one. */
	if (cut && request->lower && etl_watermark_compare(cursor->type, cut, request->lower) <= 0)
		cut = etl_sql_text(
			psprintf("%s AND %s > %s ORDER BY 1 LIMIT 1", more, name, etl_value_literal(cursor->type, cut)));
	AtEOXact_GUC(false, level);
	return cut;
}

/* can_be_there says whether a row with this cursor is one that is looked up. */
static bool
can_be_there(EtlOverlap *overlap, TupleTableSlot *slot)
{
	Datum value = slot->tts_values[overlap->n_map];

	if (slot->tts_isnull[overlap->n_map] || !etl_value_is_finite(overlap->cursor, value))
		return overlap->with_nulls;
	return DatumGetInt32(FunctionCall2Coll(overlap->compare, overlap->collation, value, overlap->reached)) <= 0;
}

/* etl_overlap_has looks a row up; without a primary key it uses up one of the equal rows. */
bool
etl_overlap_has(EtlOverlap *overlap, TupleTableSlot *slot, bool deleted)
{
	MemoryContext old;
	RowHash row = {0, 0};
	Kept *kept;

	if (!can_be_there(overlap, slot))
		return false;
	old = MemoryContextSwitchTo(overlap->row_context);
	for (int i = 0; i < overlap->n; i++)
		if (overlap->of_map[i] >= 0 && !slot->tts_isnull[overlap->of_map[i]])
			fold_column(overlap, &row, i, slot->tts_values[overlap->of_map[i]]);
	fold_deleted(&row, deleted);
	MemoryContextSwitchTo(old);
	MemoryContextReset(overlap->row_context);
	kept = kept_lookup(overlap->table, row.key);
	if (kept == NULL || kept->image != row.image)
		return false;
	if (overlap->has_key)
		return true;
	if (kept->count == 0)
		return false;
	kept->count--;
	return true;
}

/* etl_overlap_is_full says whether rows were left out of the table. */
bool
etl_overlap_is_full(const EtlOverlap *overlap)
{
	return overlap->full;
}
