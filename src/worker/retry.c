/*
 * retry.c
 *		Whether and when a failed attempt is tried again: pure, no I/O.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/retry.h"

/*
 * Errors that may be gone at the next attempt, by SQLSTATE or its class: connections, rollbacks by the server,
 * resources, lock timeouts, shutdowns, system errors, short reads, lost workers, timeouts and batches that differ. HV00L is how mysql_fdw
 * reports whatever its server answers, a lost connection included. All others - bad data, missing privileges, syntax,
 * failed checks - would fail again in the same way.
 */
static const char *const passing[] = {"08",	   "40",	"53",	 "55P03", "57P",   "58",
									  "HV00L", "HV00N", "ZE007", "ZE008", "ZE009", "ZE012"};

/* begins_with says whether a SQLSTATE is the given one, or of the given class. */
static bool
begins_with(const char *sqlstate, const char *prefix)
{
	return strncmp(sqlstate, prefix, strlen(prefix)) == 0;
}

/* is_passing says whether an error of that SQLSTATE may be gone at the next attempt of a task. */
static bool
is_passing(const EtlTask *task, const char *sqlstate)
{
	if (task->retry_on.name == NULL)
	{
		for (int i = 0; i < lengthof(passing); i++)
			if (begins_with(sqlstate, passing[i]))
				return true;
		return false;
	}
	for (int i = 0; i < task->retry_on.n; i++)
		if (strcmp(task->retry_on.name[i], "all") == 0 || begins_with(sqlstate, task->retry_on.name[i]))
			return true;
	return false;
}

/* default_delay returns the pause before a retry (from 0) of a task that names no retry_delays; NULL: no more retries. */
static Interval *
default_delay(EtlTaskKind kind, int retry)
{
	static const int extract_minutes[] = {5, 15, 60};
	Interval *delay = palloc0(sizeof(Interval));

	if (kind == ETL_TASK_EXTRACT && retry < lengthof(extract_minutes))
		delay->time = extract_minutes[retry] * 60 * USECS_PER_SEC;
	else if (kind == ETL_TASK_EXTRACT || retry > 0)
		return NULL;
	return delay;
}

/*
 * etl_retry_due says whether a task is tried again after an attempt that failed with sqlstate, and when; retry is the
 * number of retries it has had. Without retry_delays an extract waits 5, 15 and 60 minutes, and every other kind is tried once more at once.
 */
bool
etl_retry_due(const EtlTask *task, int retry, const char *sqlstate, TimestampTz ended_at, TimestampTz *due_at)
{
	Interval *delay;

	if (!is_passing(task, sqlstate))
		return false;
	if (task->has_retry_delays)
		delay = retry < task->n_retry_delays ? &task->retry_delays[retry] : NULL;
	else
		delay = default_delay(task->kind, retry);
	if (delay == NULL)
		return false;
	*due_at = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(ended_at), IntervalPGetDatum(delay)));
	return true;
}

/*
 * etl_retry_after_crash says whether a task is repeated, at once, whose attempt went down with the server. Such an attempt
 * uses up none of its retries. Only a task that must never be tried twice (retry_delays => '{}') is not.
 */
bool
etl_retry_after_crash(const EtlTask *task)
{
	return !task->has_retry_delays || task->n_retry_delays > 0;
}
