/*
 * commit_bound_local.c
 *		What is open in this database. See commit_bound.h.
 *
 * When transactions began is read from where pg_stat_activity has it from, whatever the owner of the extract may see.
 * Where that is not enough, those are waited for that have written to the tables: they hold locks on them.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/spi.h"
#include "compat.h"
#include "miscadmin.h"
#include "source/commit_bound.h"
#include "storage/lmgr.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A lock on a base table that a writer holds. */
typedef struct Holder
{
	Oid table;
	VirtualTransactionId vxid;
} Holder;

/* add_oid adds a table to the list. */
static List *
add_oid(List *list, const char *text)
{
	return lappend_oid(list, (Oid) strtoul(text, NULL, 10));
}

/* etl_local_tables goes through views and partitions. */
List *
etl_local_tables(const EtlSource *source, const char **why_not)
{
	List *tables = NIL;
	char *other;
	char *oids;

	oids = etl_sql_text(psprintf(
		"WITH RECURSIVE r (oid, relkind) AS (SELECT c.oid, c.relkind FROM pg_catalog.pg_class AS c WHERE c.oid = %u "
		"UNION"
		" SELECT c.oid, c.relkind FROM r CROSS JOIN LATERAL ("
		"SELECT d.refobjid AS oid FROM pg_catalog.pg_rewrite AS w JOIN pg_catalog.pg_depend AS d ON d.classid ="
		" 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass"
		" WHERE w.ev_class = r.oid AND r.relkind = 'v'"
		" UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = r.oid) AS n"
		" JOIN pg_catalog.pg_class AS c ON c.oid = n.oid)"
		" SELECT string_agg(CASE WHEN relkind IN ('r', 'p') THEN oid::text ELSE relkind::text || oid::text END, ' '"
		" ORDER BY relkind) FROM r WHERE relkind IN ('r', 'p', 'f', 'm')",
		source->oid));
	for (char *oid = oids ? strtok_r(oids, " ", &other) : NULL; oid; oid = strtok_r(NULL, " ", &other))
	{
		if (oid[0] == RELKIND_FOREIGN_TABLE)
			*why_not = "it is a view of foreign tables";
		else if (oid[0] == RELKIND_MATVIEW)
			*why_not = "it reads a materialized view, whose rows are older than its last refresh";
		else
			tables = add_oid(tables, oid);
	}
	return tables;
}

/* may_write says whether a backend of this database can write to its tables. */
static bool
may_write(const PgBackendStatus *backend)
{
	return backend->st_procpid != 0 && backend->st_procpid != MyProcPid && backend->st_databaseid == MyDatabaseId &&
		   (backend->st_backendType == B_BACKEND || backend->st_backendType == B_BG_WORKER);
}

/* look_at_backends finds the oldest start; false: somebody hides his (track_activities = off). */
static bool
look_at_backends(EtlWriters *writers)
{
	bool all_known = true;

	writers->now = GetCurrentTimestamp();
	writers->oldest = writers->now;
	pgstat_clear_backend_activity_snapshot();
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		const PgBackendStatus *backend = &etl_compat_backend(i)->backendStatus;

		if (!may_write(backend))
			continue;
		if (backend->st_state == STATE_DISABLED)
			all_known = false;
		if (backend->st_xact_start_timestamp != 0)
			writers->oldest = Min(writers->oldest, backend->st_xact_start_timestamp);
	}
	return all_known;
}

/* list_holders lists who holds locks of writers on the tables now. */
static List *
list_holders(List *tables)
{
	List *result = NIL;
	ListCell *cell;

	foreach (cell, tables)
	{
		VirtualTransactionId *vxid;
		LOCKTAG tag;
		int n;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, lfirst_oid(cell));
		vxid = GetLockConflicts(&tag, ShareLock, &n);
		for (int i = 0; i < n; i++)
		{
			Holder *holder = palloc(sizeof(Holder));

			holder->table = lfirst_oid(cell);
			holder->vxid = vxid[i];
			result = lappend(result, holder);
		}
	}
	return result;
}

/* is_among says whether a holder of before may still be open: a prepared transaction may be any of them. */
static const Holder *
is_among(List *before, List *now)
{
	ListCell *cell;
	ListCell *inner;

	foreach (cell, now)
	{
		const Holder *holder = lfirst(cell);

		if (VirtualTransactionIdIsRecoveredPreparedXact(holder->vxid))
			return holder;
		foreach (inner, before)
			if (VirtualTransactionIdEquals(((const Holder *) lfirst(inner))->vxid, holder->vxid))
				return holder;
	}
	return NULL;
}

/* describe names a holder; a transaction that nobody has open is a prepared one. */
static const char *
describe(const Holder *holder)
{
	PGPROC *process = NULL;

	if (!VirtualTransactionIdIsRecoveredPreparedXact(holder->vxid))
		process = etl_compat_process(holder->vxid);
	return process ? psprintf("process %d", process->pid) : "a prepared transaction";
}

/* wait_for_holders waits for those who have written to the tables and not ended. What each look takes is freed. */
static void
wait_for_holders(List *tables, EtlWriters *writers)
{
	List *before = list_holders(tables);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext look = AllocSetContextCreate(caller, "etl look", ALLOCSET_SMALL_SIZES);
	EtlPatience patience;
	const Holder *holder;

	etl_patience_begin(&patience);
	for (;;)
	{
		MemoryContextReset(look);
		MemoryContextSwitchTo(look);
		holder = is_among(before, list_holders(tables));
		MemoryContextSwitchTo(caller);
		if (holder == NULL)
			break;
		if (etl_patience_wait(&patience))
			continue;
		writers->blocker = describe(holder);
		break;
	}
	MemoryContextDelete(look);
}

/* ask_prepared counts in the prepared transactions: after the others, as in commit_bound_pg.c. */
static void
ask_prepared(EtlWriters *writers)
{
	int64 seconds;

	if (etl_sql_int64("SELECT floor(extract(epoch FROM pg_catalog.now() - min(prepared)))::bigint FROM"
					  " pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()",
					  &seconds))
		writers->oldest = Min(writers->oldest, GetCurrentTransactionStartTimestamp() - (seconds + 1) * USECS_PER_SEC -
												   ETL_BOUND_PREPARED);
}

/* etl_writers_local waits while no step is open: nobody waits for us meanwhile. */
void
etl_writers_local(EtlExtract *extract, bool all, EtlWriters *writers)
{
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	List *tables = etl_local_tables(extract->source, &writers->why_not);

	if (writers->why_not == NULL && extract->attempt->is_inline && IsolationUsesXactSnapshot())
		writers->why_not =
			"the run is in a transaction of level REPEATABLE READ or SERIALIZABLE, which reads as of its beginning";
	if (writers->why_not == NULL)
	{
		etl_attempt_pause(extract->attempt);
		MemoryContextSwitchTo(extract->context);
		if (!look_at_backends(writers) || all)
			wait_for_holders(tables, writers);
		etl_attempt_resume(extract->attempt);
		MemoryContextSwitchTo(extract->context);
		if (!all)
			ask_prepared(writers);
		writers->oldest -= ETL_BOUND_MARGIN;
	}
	MemoryContextSwitchTo(old);
}
