/*
 * statistics.c
 *		The planner's statistics of a table that etl_ext has just changed. See statistics.h.
 *
 * The next task reads the table seconds later, long before autovacuum looks at it. Without statistics the planner takes a
 * table of a million rows for one of a few, and a join with it for a loop.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/spi.h"
#include "compat.h"
#include "dag/lineage.h"
#include "load/statistics.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/syscache.h"

/* Share of the rows, and number beside it, from which autovacuum would analyze by its defaults. */
#define CHANGED_SHARE 0.1
#define CHANGED_ROWS 50

/* is_stale says whether so many rows have changed that the statistics are of little use, or there are none. */
static bool
is_stale(Oid relation, int64 changed)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	double rows;

	if (!HeapTupleIsValid(tuple))
		return false;
	rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	return changed > 0 && (rows < 0 || changed > CHANGED_ROWS + CHANGED_SHARE * rows);
}

/* etl_statistics_refresh analyzes a table. Only its owner may; a lock that is not free means that somebody vacuums it. */
void
etl_statistics_refresh(Oid relation, int64 changed)
{
	if (!is_stale(relation, changed) || !etl_compat_is_relation_owner(relation, GetUserId()) ||
		!ConditionalLockRelationOid(relation, ShareUpdateExclusiveLock))
		return;
	(void) etl_sql_exec(psprintf("ANALYZE %s", etl_lineage_name(relation)), SPI_OK_UTILITY);
}
