/*
 * commit_bound_pg.c
 *		What is open at a PostgreSQL server that we have a connection of our own to. See commit_bound.h.
 *
 * pg_stat_activity says when each transaction began, to roles that may see it (pg_read_all_stats, or the same role). Of
 * the others, and of sessions with track_activities = off, pg_locks says that they are open: each transaction holds a lock
 * on its own virtual number, which everybody may see. Those are waited for.
 *
 * Whoever prepares his transaction (PREPARE TRANSACTION) moves from one view to another, so the prepared ones are always
 * looked at last: seen in neither means that it had ended before.
 */
#include "postgres.h"

#include "source/commit_bound.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/lock.h"

/* Sessions that may write to a table of the source's database: not ours, not autovacuum, not WAL senders. */
#define MAY_WRITE                                                                                                      \
	"a.datid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())"        \
	" AND a.pid <> pg_catalog.pg_backend_pid() AND a.usesysid IS NOT NULL AND a.backend_type IS DISTINCT FROM"         \
	" 'walsender'"

/* Of them, those whose start cannot be seen. */
#define HIDDEN "(a.query = '<insufficient privilege>' OR a.state = 'disabled')"

/* A moment as microseconds since 1970. */
#define MICROSECONDS(expression) "(EXTRACT(epoch FROM " expression ") * 1000000)::pg_catalog.int8"

/* A transaction that prepared itself counts as open until it is committed or rolled back. */
#define PREPARED " FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()"

/* The transactions that are waited for. */
typedef struct OpenSet
{
	StringInfoData list; /* their virtual numbers, as text of a text[] */
	int n;
} OpenSet;

/* moment reads what MICROSECONDS printed; NULL: DT_NOEND. */
static TimestampTz
moment(const char *microseconds)
{
	if (microseconds == NULL)
		return DT_NOEND;
	return (TimestampTz) pg_strtoint64(microseconds) - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

/* ask_activity sees who is open; returns how many hide since when. */
static int64
ask_activity(EtlRemote *remote, EtlWriters *writers)
{
	char **row = etl_remote_row(
		remote,
		"SELECT pg_catalog.pg_is_in_recovery(), " MICROSECONDS("pg_catalog.now()") ", " MICROSECONDS(
			"min(a.xact_start)") ", count(*) FILTER (WHERE " HIDDEN ")"
								 " FROM pg_catalog.pg_stat_activity AS a WHERE " MAY_WRITE,
		4);

	if (row == NULL || row[0][0] == 't')
	{
		writers->why_not = "it is a standby, which does not know the transactions of its primary";
		return 0;
	}
	writers->now = moment(row[1]);
	writers->oldest = Min(writers->now, moment(row[2]));
	return pg_strtoint64(row[3]);
}

/* ask_prepared counts in the prepared transactions. */
static void
ask_prepared(EtlRemote *remote, EtlWriters *writers)
{
	char **row = etl_remote_row(remote, "SELECT " MICROSECONDS("min(prepared)") PREPARED, 1);

	if (row && row[0])
		writers->oldest = Min(writers->oldest, moment(row[0]) - ETL_BOUND_PREPARED);
}

/* add_open adds a transaction to the set. */
static void
add_open(char *const *value, void *arg)
{
	OpenSet *set = arg;

	appendStringInfo(&set->list, "%s%s", set->n++ ? "," : "", value[0]);
}

/* still_open names one that has not ended yet, or returns NULL. */
static char *
still_open(EtlRemote *remote, const OpenSet *set, bool all)
{
	char **row = NULL;

	if (set->n > 0)
		row = etl_remote_row(remote,
							 psprintf("SELECT 'process ' || min(pid) FROM pg_catalog.pg_locks WHERE locktype ="
									  " 'virtualxid' AND mode = 'ExclusiveLock' AND virtualtransaction = ANY ('{%s}')",
									  set->list.data),
							 1);
	if ((row == NULL || row[0] == NULL) && all)
		row = etl_remote_row(remote, "SELECT 'prepared transaction ' || pg_catalog.quote_literal(min(gid))" PREPARED,
							 1);
	return row ? row[0] : NULL;
}

/* wait_for_set looks until all of the set have ended, or until the time is over. What each look takes is freed. */
static void
wait_for_set(EtlRemote *remote, const OpenSet *set, bool all, EtlWriters *writers)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext look = AllocSetContextCreate(caller, "etl look", ALLOCSET_SMALL_SIZES);
	EtlPatience patience;
	char *open;

	etl_patience_begin(&patience);
	for (;;)
	{
		MemoryContextReset(look);
		MemoryContextSwitchTo(look);
		open = still_open(remote, set, all);
		MemoryContextSwitchTo(caller);
		if (open == NULL)
			break;
		if (etl_patience_wait(&patience))
			continue;
		writers->blocker = pstrdup(open);
		break;
	}
	MemoryContextDelete(look);
}

/*
 * wait_for_open waits for all that are open now, or for those that hide their start. Sessions that wait for a run of
 * etl_ext are left out: they have written nothing (run_api.c), and would wait for us.
 */
static void
wait_for_open(EtlRemote *remote, bool all, EtlWriters *writers)
{
	OpenSet set = {.n = 0};

	initStringInfo(&set.list);
	(void) etl_remote_query(
		remote,
		psprintf("SELECT l.virtualtransaction FROM pg_catalog.pg_locks AS l"
				 " WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted"
				 " AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = l.pid AND %s"
				 "%s) AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks AS w WHERE w.pid = l.pid"
				 " AND w.locktype = 'advisory' AND w.objsubid = %d)",
				 MAY_WRITE, all ? "" : " AND " HIDDEN, ETL_LOCK_WAITER),
		1, add_open, &set);
	wait_for_set(remote, &set, all, writers);
}

/* ask asks all of it; no step is open. */
static void
ask(EtlRemote *remote, bool all, EtlWriters *writers)
{
	int64 hidden = ask_activity(remote, writers);

	if (writers->why_not)
		return;
	if (all || hidden > 0)
		wait_for_open(remote, all, writers);
	if (!all)
		ask_prepared(remote, writers);
	writers->oldest -= ETL_BOUND_MARGIN;
}

/* etl_writers_pg asks while no step is open, so that what is read then is younger. */
void
etl_writers_pg(EtlExtract *extract, bool all, EtlWriters *writers)
{
	MemoryContext old;

	etl_attempt_pause(extract->attempt);
	old = MemoryContextSwitchTo(extract->context);
	ask(extract->remote, all, writers);
	MemoryContextSwitchTo(old);
	etl_attempt_resume(extract->attempt);
}

/* etl_writers_oldest returns DT_NOBEGIN when it is not known. */
TimestampTz
etl_writers_oldest(EtlRemote *remote)
{
	EtlWriters writers = {0};

	ask(remote, false, &writers);
	return writers.why_not || writers.blocker ? DT_NOBEGIN : writers.oldest;
}
