/*
 * partitions.c
 *		The partitions of a target. See partitions.h.
 *
 * A partition is made as a table of its own and then attached: the parent needs only SHARE UPDATE EXCLUSIVE, which lets
 * readers and writers go on. A table with a DEFAULT partition takes every row already, and attaching another one would
 * lock and read that, so it is left alone. What the rows need is found by one look at them: those that no partition takes,
 * by the piece of the axis that they are in.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "compat.h"
#include "dag/lineage.h"
#include "load/partition_grid.h"
#include "load/partitions.h"
#include "load/text.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

/* Pieces of the axis that are looked at: those with the most rows. */
#define MAX_PIECES 100000

/* Rows a day from which a table without partitions gets one for each day, otherwise for each month. */
#define DAILY_ROWS 1000000

/* What a point of time is counted from, in seconds of the Unix epoch. */
#define EPOCH_SECONDS "946684800"

typedef struct Layout
{
	Oid target;
	const char *name;
	const char *column; /* quoted */
	Oid schema;			/* where partitions are made */
	EtlGrid grid;
	bool is_cut;		 /* the grid is known */
	bool has_default;	 /* a DEFAULT partition */
	bool is_nested;		 /* partitions are partitioned themselves */
	const char *covered; /* condition: a partition takes the row */
	const char *tablespace;
	Oid owner;
} Layout;

/* Rows of a piece of the axis that no partition takes. */
typedef struct Piece
{
	int64 low;
	int64 high;
	int64 rows;
} Piece;

typedef struct Work
{
	EtlAttempt *attempt;
	Layout layout;
	List *pieces; /* of Piece * */
	int made;
	bool is_full; /* more were needed than one run makes */
	bool is_new;  /* something was made since pieces were found */
} Work;

/* set_local changes a setting until the caller leaves its GUC nest level. */
static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* literal returns a bound as SQL; DateStyle is ISO. */
static char *
literal(Oid type, Datum value)
{
	Oid output;
	bool is_varlena;

	getTypeOutputInfo(type, &output, &is_varlena);
	return psprintf("%s::%s", quote_literal_cstr(OidOutputFunctionCall(output, value)), etl_text_type(type, -1));
}

/* is_value says whether the i-th bound is a value and not MINVALUE or MAXVALUE. */
static bool
is_value(const PartitionDesc desc, int i)
{
	return desc->boundinfo->kind == NULL || desc->boundinfo->kind[i][0] == PARTITION_RANGE_DATUM_VALUE;
}

/* describe_covered returns the condition that a partition takes the row; neighbours become one range. */
static char *
describe_covered(const Layout *layout, const PartitionDesc desc)
{
	PartitionBoundInfo bound = desc->boundinfo;
	StringInfoData sql;
	bool is_open = false;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "false");
	for (int i = 0; i < bound->ndatums; i++)
	{
		bool is_taken = bound->indexes[i + 1] >= 0;

		if (is_taken && !is_open)
			appendStringInfo(&sql, " OR (%s",
							 is_value(desc, i) ? psprintf("d.%s >= %s", layout->column,
														  literal(layout->grid.type, bound->datums[i][0]))
											   : "true");
		else if (!is_taken && is_open)
			appendStringInfo(&sql, "%s)",
							 is_value(desc, i) ? psprintf(" AND d.%s < %s", layout->column,
														  literal(layout->grid.type, bound->datums[i][0]))
											   : "");
		is_open = is_taken;
	}
	if (is_open)
		appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* read_grid takes width and pattern from the last partition that has two bounds. */
static void
read_grid(Layout *layout, const PartitionDesc desc)
{
	PartitionBoundInfo bound = desc->boundinfo;

	for (int i = bound->ndatums - 2; i >= 0 && !layout->is_cut; i--)
	{
		int index = bound->indexes[i + 1];
		Oid type = layout->grid.type;

		if (index < 0 || !is_value(desc, i) || !is_value(desc, i + 1))
			continue;
		layout->is_cut = etl_partition_grid_measure(&layout->grid, etl_partition_grid_point(type, bound->datums[i][0]),
													etl_partition_grid_point(type, bound->datums[i + 1][0]));
		layout->grid.name = get_rel_name(desc->oids[index]);
		layout->schema = get_rel_namespace(desc->oids[index]);
		layout->is_nested = get_rel_relkind(desc->oids[index]) != RELKIND_RELATION;
	}
}

/* range_column returns the one column that a table is partitioned by, by range; otherwise InvalidAttrNumber. */
static AttrNumber
range_column(Relation target)
{
	PartitionKey key;

	if (target->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return InvalidAttrNumber;
	key = RelationGetPartitionKey(target);
	return key->strategy == PARTITION_STRATEGY_RANGE && key->partnatts == 1 ? key->partattrs[0] : InvalidAttrNumber;
}

/* read_layout looks at the partitions of a target; false: it is none that partitions are made for. */
static bool
read_layout(Layout *layout, Oid target)
{
	Relation rel = table_open(target, AccessShareLock);
	AttrNumber column = range_column(rel);

	MemSet(layout, 0, sizeof(Layout));
	if (column != InvalidAttrNumber && etl_partition_grid_knows(get_atttype(target, column)))
	{
		PartitionDesc desc = RelationGetPartitionDesc(rel, true);

		layout->target = target;
		layout->name = etl_lineage_name(target);
		layout->column = quote_identifier(get_attname(target, column, false));
		layout->schema = RelationGetNamespace(rel);
		layout->owner = rel->rd_rel->relowner;
		layout->tablespace = OidIsValid(rel->rd_rel->reltablespace) ? get_tablespace_name(rel->rd_rel->reltablespace)
																	: NULL;
		layout->grid.type = get_atttype(target, column);
		layout->grid.parent = pstrdup(RelationGetRelationName(rel));
		layout->covered = "false";
		if (desc->nparts > 0)
		{
			layout->has_default = desc->boundinfo->default_index >= 0;
			layout->covered = describe_covered(layout, desc);
			read_grid(layout, desc);
		}
	}
	table_close(rel, NoLock);
	return layout->target != InvalidOid && !layout->has_default;
}

/*
 * find_gap looks for the partition of a point. True: there is one, whose upper bound is *high. False: none, and a new one
 * may reach from *low to *high.
 */
static bool
find_gap(const Layout *layout, int64 point, int64 *low, int64 *high)
{
	Relation rel = table_open(layout->target, NoLock);
	PartitionKey key = RelationGetPartitionKey(rel);
	PartitionDesc desc = RelationGetPartitionDesc(rel, true);
	Datum value = etl_partition_grid_value(layout->grid.type, point);
	bool is_covered = false;
	bool equal;

	*low = PG_INT64_MIN;
	*high = PG_INT64_MAX;
	if (desc->nparts > 0)
	{
		PartitionBoundInfo bound = desc->boundinfo;
		int i = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bound, 1, &value, &equal);

		is_covered = bound->indexes[i + 1] >= 0;
		if (i >= 0 && is_value(desc, i))
			*low = etl_partition_grid_point(layout->grid.type, bound->datums[i][0]);
		if (i + 1 < bound->ndatums && is_value(desc, i + 1))
			*high = etl_partition_grid_point(layout->grid.type, bound->datums[i + 1][0]);
	}
	table_close(rel, NoLock);
	return is_covered;
}

/* choose_name names a new partition like the others, unless that name is taken or too long. */
static char *
choose_name(const Layout *layout, int64 low)
{
	char *name = etl_partition_grid_name(&layout->grid, low);

	if (name != NULL && strlen(name) < NAMEDATALEN && !OidIsValid(get_relname_relid(name, layout->schema)))
		return name;
	return ChooseRelationName(layout->grid.parent, NULL, etl_partition_grid_label(&layout->grid, low), layout->schema,
							  false);
}

/* make_partition creates and attaches one partition. */
static void
make_partition(const Layout *layout, int64 low, int64 high)
{
	char *child = quote_qualified_identifier(get_namespace_name(layout->schema), choose_name(layout, low));
	Oid type = layout->grid.type;

	(void) etl_sql_exec(psprintf("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED"
								 " INCLUDING STORAGE INCLUDING COMPRESSION)%s%s",
								 child, layout->name, layout->tablespace ? " TABLESPACE " : "",
								 layout->tablespace ? quote_identifier(layout->tablespace) : ""),
						SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)", layout->name, child,
								 literal(type, etl_partition_grid_value(type, low)),
								 literal(type, etl_partition_grid_value(type, high))),
						SPI_OK_UTILITY);
	CommandCounterIncrement();
}

/* ensure_point makes the partition of a point when it is missing; neighbours cut it. */
static void
ensure_point(Work *work, int64 point)
{
	int64 gap_low;
	int64 gap_high;
	int64 low;
	int64 high;

	CHECK_FOR_INTERRUPTS();
	if (find_gap(&work->layout, point, &gap_low, &gap_high) ||
		!etl_partition_grid_period(&work->layout.grid, point, &low, &high))
		return;
	if (work->made == ETL_PARTITIONS_MAX)
	{
		work->is_full = true;
		return;
	}
	make_partition(&work->layout, Max(low, gap_low), Min(high, gap_high));
	work->made++;
	work->is_new = true;
}

/* ensure_next makes the partition of the next period when the present one has one. */
static void
ensure_next(Work *work)
{
	Oid type = work->layout.grid.type;
	int64 now = GetCurrentTransactionStartTimestamp();
	int64 low;
	int64 high;

	if (!etl_partition_grid_is_time(type))
		return;
	if (type != TIMESTAMPTZOID)
		now = DatumGetTimestamp(DirectFunctionCall1(timestamptz_timestamp, TimestampTzGetDatum(now)));
	if (type == DATEOID)
		now = DatumGetDateADT(DirectFunctionCall1(timestamp_date, TimestampGetDatum(now)));
	if (find_gap(&work->layout, now, &low, &high) && high < PG_INT64_MAX)
		ensure_point(work, high);
}

/* point_expression returns the SQL that makes a point of the column, as numeric or an integer. */
static char *
point_expression(const Layout *layout)
{
	if (layout->grid.type == DATEOID)
		return psprintf("(d.%s - '2000-01-01'::pg_catalog.date)", layout->column);
	if (etl_partition_grid_is_time(layout->grid.type))
		return psprintf("((EXTRACT(epoch FROM d.%s) - " EPOCH_SECONDS ") * 1000000)", layout->column);
	return psprintf("d.%s", layout->column);
}

/* find_pieces notes the rows that no partition takes, largest pieces first. */
static void
find_pieces(Work *work, const char *table)
{
	const Layout *layout = &work->layout;
	MemoryContext caller = CurrentMemoryContext;
	char *finite = etl_partition_grid_is_time(layout->grid.type)
					   ? psprintf(" AND pg_catalog.isfinite(d.%s)", layout->column)
					   : "";
	char *sql = psprintf("SELECT pg_catalog.min(p)::pg_catalog.int8, pg_catalog.max(p)::pg_catalog.int8,"
						 " pg_catalog.count(*) FROM (SELECT %s::pg_catalog.numeric AS p FROM %s AS d"
						 " WHERE d.%s IS NOT NULL%s AND NOT (%s)) AS s GROUP BY pg_catalog.div(p - " INT64_FORMAT
						 ", " INT64_FORMAT ") ORDER BY 3 DESC, 1 LIMIT %d",
						 point_expression(layout), table, layout->column, finite, layout->covered, layout->grid.anchor,
						 etl_partition_grid_piece(&layout->grid), MAX_PIECES);

	work->pieces = NIL;
	work->is_new = false;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "unexpected result of %s", sql);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);
		Piece *piece = palloc(sizeof(Piece));
		bool isnull;

		piece->low = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		piece->high = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
		piece->rows = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3, &isnull));
		work->pieces = lappend(work->pieces, piece);
		MemoryContextSwitchTo(spi);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
}

/* begin_grid cuts a table that has no partitions by UTC days, and by months unless there are very many rows a day. */
static void
begin_grid(Work *work)
{
	EtlGrid *grid = &work->layout.grid;
	int64 rows = 0;
	ListCell *cell;

	foreach (cell, work->pieces)
		rows += ((Piece *) lfirst(cell))->rows;
	if (work->pieces == NIL || rows / list_length(work->pieces) < DAILY_ROWS)
		grid->months = 1;
	work->layout.is_cut = true;
}

/* reason returns why the current user cannot make partitions of the target, as a sentence without its end, or NULL. */
static char *
reason(const Layout *layout)
{
	const char *role = GetUserNameFromId(GetUserId(), false);

	if (!layout->is_cut)
		return "it has none yet that would tell their width";
	if (layout->is_nested)
		return "its partitions are partitioned themselves";
	if (!has_privs_of_role(GetUserId(), layout->owner))
		return psprintf("%s is not its owner", role);
	if (etl_compat_namespace_aclcheck(layout->schema, GetUserId(), ACL_CREATE) != ACLCHECK_OK)
		return psprintf("%s may not create tables in schema %s", role, get_namespace_name(layout->schema));
	return NULL;
}

/* make_missing makes what the pieces need, and what is ahead. */
static void
make_missing(Work *work)
{
	ListCell *cell;

	LockRelationOid(work->layout.target, ShareUpdateExclusiveLock);
	foreach (cell, work->pieces)
	{
		const Piece *piece = lfirst(cell);

		ensure_point(work, piece->low);
		if (piece->high != piece->low)
			ensure_point(work, piece->high);
	}
	ensure_next(work);
}

/* is_ours says whether an error only means that there will be no partition. */
static bool
is_ours(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
			return true;
		default:
			return error->sqlerrcode == ERRCODE_OBJECT_IN_USE;
	}
}

/* try_missing makes the partitions in a subtransaction; an error that says that they cannot be made is noted. */
static void
try_missing(Work *work)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;
	int before = work->made;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		make_missing(work);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error == NULL)
		return;
	if (!is_ours(error))
		ReThrowError(error);
	work->made = before;
	work->is_new = false;
	etl_attempt_note(work->attempt, "Partitions of %s were not made: %s.", work->layout.name, error->message);
}

/* find_missing looks for rows without a partition, where the delta has the column. */
static void
find_missing(Work *work, const EtlPlan *plan, const char *table)
{
	for (int i = 0; i < plan->columns.n; i++)
		if (strcmp(plan->columns.column[i].quoted, work->layout.column) == 0)
			find_pieces(work, table);
}

/* ensure makes partitions in as many passes as bounds that lie oddly need. */
static void
ensure(Work *work, const EtlPlan *plan, const char *table)
{
	char *why;

	if (!work->layout.is_cut)
	{
		work->layout.grid.width = work->layout.grid.type == DATEOID ? 1 : USECS_PER_DAY;
		find_missing(work, plan, table);
		if (etl_partition_grid_is_time(work->layout.grid.type))
			begin_grid(work);
	}
	else
		find_missing(work, plan, table);
	why = reason(&work->layout);
	if (why != NULL)
	{
		if (work->pieces != NIL)
			etl_attempt_note(work->attempt, "Partitions of %s that rows need were not made: %s.", work->layout.name,
							 why);
		return;
	}
	do
	{
		Layout now;

		try_missing(work);
		if (!work->is_new || work->pieces == NIL || !read_layout(&now, plan->target))
			break;
		work->layout.covered = now.covered;
		find_missing(work, plan, table);
	} while (work->pieces != NIL && !work->is_full);
}

/* etl_partitions_ensure_for looks at the rows once, and again after it made something. */
void
etl_partitions_ensure_for(EtlAttempt *attempt, const EtlPlan *plan, const char *delta_table)
{
	Work work = {.attempt = attempt};
	int level = NewGUCNestLevel();

	set_local("datestyle", "ISO, YMD");
	if (read_layout(&work.layout, plan->target))
		ensure(&work, plan, delta_table);
	AtEOXact_GUC(true, level);
	etl_attempt_count(attempt, "partitions_created", work.made);
	if (work.is_full)
		etl_attempt_note(attempt, "Rows need more than %d new partitions of %s, which is the most that one run makes.",
						 ETL_PARTITIONS_MAX, work.layout.name);
}
