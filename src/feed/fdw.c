/*
 * fdw.c
 *		A plain SELECT on a table of etl_http, etl_s3, etl_file or etl_kafka: a scan over the feed, which reads everything and
 *		keeps nothing.
 *
 * Times without a zone in what comes from outside are taken as UTC, as an extract takes them, whatever the session says:
 * the settings that decide it are switched around each call of the feed. They are variables of PostgreSQL's own, which is
 * cheaper for each row than setting them; PG_FINALLY puts them back.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "commands/explain.h"
#include "compat.h"
#include "feed/feed.h"
#include "foreign/fdwapi.h"
#include "guc.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "pgtime.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* What the planner is told: nobody knows how much there is. */
#define GUESSED_ROWS 1000
#define STARTUP_COST 100
#define ROW_COST 0.1

PG_FUNCTION_INFO_V1(etl_feed_handler);

/* A scan at work. */
typedef struct FeedScan
{
	MemoryContext context; /* of the feed; NULL: not open */
	const EtlFeedRoutine *routine;
	EtlFeedRequest request;
	EtlFeed *feed; /* NULL: not open */
	MemoryContextCallback callback;
} FeedScan;

/* Settings that change what a text means. */
typedef struct Settings
{
	pg_tz *timezone;
	int date_style;
	int date_order;
	int interval_style;
} Settings;

/* pin_settings switches to those of an extract. */
static void
pin_settings(Settings *old)
{
	old->timezone = session_timezone;
	old->date_style = DateStyle;
	old->date_order = DateOrder;
	old->interval_style = IntervalStyle;
	session_timezone = pg_tzset("UTC");
	DateStyle = USE_ISO_DATES;
	DateOrder = DATEORDER_YMD;
	IntervalStyle = INTSTYLE_POSTGRES;
}

/* restore_settings switches back. */
static void
restore_settings(const Settings *old)
{
	session_timezone = old->timezone;
	DateStyle = old->date_style;
	DateOrder = old->date_order;
	IntervalStyle = old->interval_style;
}

/* get_size guesses. */
static void
get_size(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	baserel->rows = GUESSED_ROWS;
}

/* get_paths has one path. */
static void
get_paths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	Cost total = STARTUP_COST + baserel->rows * ROW_COST;

	add_path(baserel, (Path *) etl_compat_foreign_path(root, baserel, baserel->rows, STARTUP_COST, total));
}

/* used_columns lists the attributes that the query asks for; 0 stands for all. */
static List *
used_columns(RelOptInfo *baserel)
{
	Bitmapset *used = NULL;
	List *list = NIL;
	ListCell *cell;
	int i = -1;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &used);
	foreach (cell, baserel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause, baserel->relid, &used);
	while ((i = bms_next_member(used, i)) >= 0)
		list = lappend_int(list, i + FirstLowInvalidHeapAttributeNumber);
	return list;
}

/* get_plan lets the executor check all conditions. */
static ForeignScan *
get_plan(PlannerInfo *root, RelOptInfo *baserel, Oid relid, ForeignPath *path, List *targets, List *clauses,
		 Plan *outer)
{
	return make_foreignscan(targets, extract_actual_clauses(clauses, false), baserel->relid, NIL, used_columns(baserel),
							NIL, NIL, outer);
}

/*
 * close_feed closes what is open. It is also called when the query's memory is given back after an error. The children of
 * a context go before its callbacks are called, so that the feed's context is not one of the query's.
 */
static void
close_feed(void *arg)
{
	FeedScan *scan = arg;
	EtlFeed *feed = scan->feed;
	MemoryContext context = scan->context;

	scan->feed = NULL;
	scan->context = NULL;
	if (feed)
		feed->routine->close(feed);
	if (context)
		MemoryContextDelete(context);
}

/* describe looks at the table, less the columns that nobody asks for. */
static const EtlSource *
describe(const ForeignScan *plan, Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	EtlNames names = {0, palloc(sizeof(char *) * Max(desc->natts, 1))};
	EtlSource *source;

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			(list_member_int(plan->fdw_private, 0) || list_member_int(plan->fdw_private, i + 1)))
			names.name[names.n++] = NameStr(TupleDescAttr(desc, i)->attname);
	source = etl_relation_describe(RelationGetRelid(rel), &names);
	if (names.n == 0)
		source->n = 0;
	return source;
}

/* begin_scan prepares; the feed is opened when the first row is asked for. */
static void
begin_scan(ForeignScanState *node, int flags)
{
	Relation rel = node->ss.ss_currentRelation;
	FeedScan *scan = palloc0(sizeof(FeedScan));

	scan->request.source = describe((ForeignScan *) node->ss.ps.plan, rel);
	scan->routine = etl_feed_find(scan->request.source->fdw);
	if (scan->routine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("foreign data wrapper \"%s\" has a handler that does not know it", scan->request.source->fdw),
				 errdetail("The handler serves the wrappers etl_http, etl_s3, etl_file and etl_kafka."),
				 errhint("Create the server with one of them.")));
	scan->request.user = etl_compat_scan_user(node);
	scan->request.max_rows = etl_chunk_rows;
	scan->callback.func = close_feed;
	scan->callback.arg = scan;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &scan->callback);
	node->fdw_state = scan;
}

/* open_feed opens it in a context of its own, which outlives an error until close_feed. */
static void
open_feed(FeedScan *scan)
{
	MemoryContext old;

	scan->context = AllocSetContextCreate(TopMemoryContext, "etl feed scan", ALLOCSET_DEFAULT_SIZES);
	scan->request.context = scan->context;
	old = MemoryContextSwitchTo(scan->context);
	scan->feed = scan->routine->open(&scan->request);
	MemoryContextSwitchTo(old);
}

/* next_row fetches until there is a row; false: there are no more. */
static bool
next_row(FeedScan *scan, TupleTableSlot *slot)
{
	EtlFeed *feed = scan->feed;
	EtlBadRow bad = {.position = -1};

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
		switch (feed->routine->next(feed, slot, &bad))
		{
			case ETL_FEED_ROW:
				return true;
			case ETL_FEED_DELETE:
				/* What was deleted is not there. */
				break;
			case ETL_FEED_BAD:
				etl_feed_refuse(&bad, scan->request.source);
				break;
			case ETL_FEED_PAUSE:
				feed->routine->fetch(feed);
				break;
			case ETL_FEED_END:
				return false;
		}
	}
}

/* iterate_scan returns the next row. */
static TupleTableSlot *
iterate_scan(ForeignScanState *node)
{
	FeedScan *scan = node->fdw_state;
	TupleTableSlot *slot = ExecClearTuple(node->ss.ss_ScanTupleSlot);
	MemoryContext old;
	Settings settings;
	bool found = false;

	pin_settings(&settings);
	PG_TRY();
	{
		if (scan->feed == NULL)
			open_feed(scan);
		old = MemoryContextSwitchTo(node->ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
		found = next_row(scan, slot);
		MemoryContextSwitchTo(old);
	}
	PG_FINALLY();
	{
		restore_settings(&settings);
	}
	PG_END_TRY();
	return found ? ExecStoreVirtualTuple(slot) : slot;
}

/* end_scan closes the feed. */
static void
end_scan(ForeignScanState *node)
{
	FeedScan *scan = node->fdw_state;

	if (scan)
		close_feed(scan);
}

/* rescan begins anew. */
static void
rescan(ForeignScanState *node)
{
	end_scan(node);
}

/* explain_scan shows what the source would be asked. */
static void
explain_scan(ForeignScanState *node, ExplainState *es)
{
	FeedScan *scan = node->fdw_state;
	ListCell *cell;

	scan->request.context = CurrentMemoryContext;
	if (scan->routine->explain == NULL)
		return;
	foreach (cell, scan->routine->explain(&scan->request))
	{
		const char *line = lfirst(cell);

		ExplainPropertyText("Source", strncmp(line, "-- ", 3) == 0 ? line + 3 : line, es);
	}
}

/* etl.feed_handler() */
Datum
etl_feed_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = get_size;
	routine->GetForeignPaths = get_paths;
	routine->GetForeignPlan = get_plan;
	routine->BeginForeignScan = begin_scan;
	routine->IterateForeignScan = iterate_scan;
	routine->ReScanForeignScan = rescan;
	routine->EndForeignScan = end_scan;
	routine->ExplainForeignScan = explain_scan;
	PG_RETURN_POINTER(routine);
}
