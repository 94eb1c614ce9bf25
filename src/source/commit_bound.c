/*
 * commit_bound.c
 *		How far the watermark may move: up to where nothing can still be committed. See docs/watermarks.md.
 *
 * A row is stamped when it is written and seen when it is committed, and meanwhile others with higher stamps are seen. Rows
 * are read whatever their cursor, but the watermark stays below everything that may still come: what lies between is read
 * again next time, and what is there already is recognised (overlap.c).
 *
 * timestamptz and uuid of version 7: below the start of the oldest open transaction. timestamp and date: their writers'
 * time zone is not known, so the highest value that is there stands for their present: it minus the age of the oldest open
 * transaction. Everything else (numbers, text): the highest value that was there before all that were open have ended.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "source/commit_bound.h"
#include "source/snapshot_group.h"
#include "source/value.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* First and longest pause between two looks, in ms. */
#define LOOK_FIRST 5
#define LOOK_LAST 200

/* No time zone is further east than this. */
#define EAST (14 * USECS_PER_HOUR)

/* What a cursor says about when it was written. */
typedef enum CursorKind
{
	CURSOR_MOMENT, /* timestamptz */
	CURSOR_WALL,   /* timestamp, date */
	CURSOR_UUID7,
	CURSOR_OTHER
} CursorKind;

/* etl_patience_begin starts the clock of etl.writer_wait. */
void
etl_patience_begin(EtlPatience *patience)
{
	patience->until = GetCurrentTimestamp() + (int64) etl_writer_wait * 1000;
	patience->pause = LOOK_FIRST;
}

/* etl_patience_wait waits until the next look; can be interrupted. */
bool
etl_patience_wait(EtlPatience *patience)
{
	CHECK_FOR_INTERRUPTS();
	if (GetCurrentTimestamp() >= patience->until)
		return false;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, patience->pause, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	patience->pause = Min(patience->pause * 2, LOOK_LAST);
	return true;
}

/* cursor_kind looks at the type and, for a uuid, at a value. */
static CursorKind
cursor_kind(Oid type, const char *highest)
{
	switch (getBaseType(type))
	{
		case TIMESTAMPTZOID:
			return CURSOR_MOMENT;
		case TIMESTAMPOID:
		case DATEOID:
			return CURSOR_WALL;
		case UUIDOID:
			return highest && strlen(highest) == 36 && highest[14] == '7' ? CURSOR_UUID7 : CURSOR_OTHER;
		default:
			return CURSOR_OTHER;
	}
}

/* why_unknown says in words why a source tells nothing; NULL: it may. */
static const char *
why_unknown(const EtlExtract *extract)
{
	const EtlSource *source = extract->source;

	if (!OidIsValid(source->server))
		return NULL;
	if (extract->remote == NULL || extract->remote->routine->kind != ETL_REMOTE_POSTGRES)
		return extract->remote == NULL && strcmp(source->fdw, "postgres_fdw") == 0
				   ? psprintf("there is no connection to ask it: %s", extract->remote_why)
				   : psprintf("sources of %s tell nothing about open transactions", source->fdw);
	if (extract->attempt->is_inline && extract->reader && extract->reader->routine == &etl_query_reader)
		return "the run is inline and reads through postgres_fdw, whose snapshot may be older than the question";
	return NULL;
}

/* find_highest asks the reader for the highest value that can be seen now. */
static char *
find_highest(EtlExtract *extract, const EtlColumn *cursor)
{
	const EtlReaderRoutine *routine = extract->reader->routine;
	MemoryContext old;
	EtlEdges edges = {0};

	if (!routine->fetch_in_transaction)
		etl_attempt_pause(extract->attempt);
	old = MemoryContextSwitchTo(extract->context);
	routine->edges(extract->reader, cursor, NULL, &edges);
	MemoryContextSwitchTo(old);
	if (!routine->fetch_in_transaction)
		etl_attempt_resume(extract->attempt);
	return edges.max;
}

/* wall_time reads a timestamp or a date; one that is too high for a timestamp is as good as infinity. */
static Timestamp
wall_time(bool is_date, const char *text)
{
	DateADT date;

	if (!is_date)
		return DatumGetTimestamp(
			DirectFunctionCall3(timestamp_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	date = DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(text)));
	if (DATE_NOT_FINITE(date) || date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		return DT_NOEND;
	return (Timestamp) date * USECS_PER_DAY;
}

/* safe_wall subtracts the age of the oldest transaction from the highest value, which may be a mistake in the future. */
static char *
safe_wall(Oid type, const char *highest, const EtlWriters *writers)
{
	bool is_date = getBaseType(type) == DATEOID;
	Timestamp value = wall_time(is_date, highest);
	Timestamp safe;

	if (TIMESTAMP_NOT_FINITE(value))
		safe = writers->oldest - EAST;
	else
		safe = Min(writers->oldest + EAST, value - (writers->now - writers->oldest));
	safe = Max(safe, MIN_TIMESTAMP);
	if (!is_date)
		return DatumGetCString(DirectFunctionCall1(timestamp_out, TimestampGetDatum(safe)));
	return DatumGetCString(DirectFunctionCall1(date_out, DirectFunctionCall1(timestamp_date, TimestampGetDatum(safe))));
}

/* safe_uuid returns the lowest uuid of version 7 of a moment. */
static char *
safe_uuid(TimestampTz at)
{
	uint64 ms = (uint64) (at / 1000 + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000);

	return psprintf("%08x-%04x-7000-8000-000000000000", (uint32) (ms >> 16), (uint32) (ms & 0xFFFF));
}

/* set_safe turns what is known into a value of the cursor. */
static void
set_safe(EtlExtract *extract, Oid type, CursorKind kind, char *highest, const EtlWriters *writers)
{
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	int level = NewGUCNestLevel();

	etl_value_pin_settings();
	switch (kind)
	{
		case CURSOR_MOMENT:
			extract->bounds.safe = DatumGetCString(
				DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(writers->oldest)));
			break;
		case CURSOR_WALL:
			extract->bounds.safe = safe_wall(type, highest, writers);
			break;
		case CURSOR_UUID7:
			extract->bounds.safe = safe_uuid(writers->oldest);
			break;
		case CURSOR_OTHER:
			extract->bounds.safe = highest;
			break;
	}
	AtEOXact_GUC(false, level);
	MemoryContextSwitchTo(old);
}

/* fall_back leaves it to lag. */
static void
fall_back(EtlExtract *extract, const char *why)
{
	if (extract->attempt->task->lag == NULL)
		etl_attempt_note(extract->attempt,
						 "Rows that are committed later than rows with higher cursor values may be missed: %s."
						 " With a cursor that is a time, set lag to the longest time that a transaction of the source"
						 " takes.",
						 why);
}

/* hold keeps the watermark where it is. */
static void
hold(EtlExtract *extract, const char *blocker)
{
	if (extract->bounds.watermark == NULL && extract->attempt->task->lag)
	{
		etl_attempt_note(extract->attempt,
						 "The watermark relies on lag: %s of the source has a transaction open for longer than"
						 " etl.writer_wait.",
						 blocker);
		return;
	}
	extract->bounds.hold = true;
	etl_attempt_note(
		extract->attempt,
		"The watermark stays where it is, and the next run reads the same rows again: %s of the source has a"
		" transaction open for longer than etl.writer_wait.",
		blocker);
}

/* is_end says whether a highest value is one that nothing is ever above. */
static bool
is_end(Oid type, const char *highest)
{
	return getBaseType(type) == NUMERICOID && strspn(highest, "-0123456789.eE") != strlen(highest);
}

/* find finds the bound, with a step open. */
static void
find(EtlExtract *extract, const EtlColumn *cursor)
{
	EtlWriters writers = {0};
	CursorKind kind = cursor_kind(cursor->type, NULL);
	char *highest = NULL;

	writers.why_not = why_unknown(extract);
	if (writers.why_not == NULL && kind != CURSOR_MOMENT)
	{
		highest = find_highest(extract, cursor);
		if (highest == NULL)
		{
			/* Nothing is there yet. What comes while it is read is read again next time. */
			extract->bounds.hold = true;
			return;
		}
		kind = cursor_kind(cursor->type, highest);
		if (kind == CURSOR_OTHER && is_end(cursor->type, highest))
			writers.why_not = psprintf("the highest value of the cursor is %s", highest);
	}
	if (writers.why_not == NULL && extract->request.snapshot)
		etl_snapshot_group_writers(extract, kind == CURSOR_OTHER, &writers);
	else if (writers.why_not == NULL && extract->remote)
		etl_writers_pg(extract, kind == CURSOR_OTHER, &writers);
	else if (writers.why_not == NULL)
		etl_writers_local(extract, kind == CURSOR_OTHER, &writers);
	if (writers.why_not)
		fall_back(extract, writers.why_not);
	else if (writers.blocker)
		hold(extract, writers.blocker);
	else
		set_safe(extract, cursor->type, kind, highest, &writers);
}

/* etl_commit_bound_find does nothing where the watermark does not move. */
void
etl_commit_bound_find(EtlExtract *extract)
{
	const EtlTask *task = extract->attempt->task;

	if (task->cursor_column == NULL || extract->attempt->is_backfill)
		return;
	find(extract, etl_relation_column(extract->source, task->cursor_column));
	/* Whatever is read now is younger than what was seen. */
	etl_attempt_step(extract->attempt);
}

/* etl_commit_bound_problem knows what can be known without connecting. */
char *
etl_commit_bound_problem(const EtlTask *task, const EtlSource *source)
{
	const char *why = NULL;

	if (task->cursor_column == NULL || task->lag)
		return NULL;
	if (!OidIsValid(source->server))
		(void) etl_local_tables(source, &why);
	else if (strcmp(source->fdw, "postgres_fdw") != 0)
		why = psprintf("sources of %s tell nothing about open transactions", source->fdw);
	if (why == NULL)
		return NULL;
	return psprintf(
		"Rows of source %s that are committed later than rows with higher values of \"%s\" may be missed: %s.",
		source->name, task->cursor_column, why);
}
