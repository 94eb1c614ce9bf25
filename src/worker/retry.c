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
 * resources, lock timeouts, shutdowns, system errors, short reads, lost workers and timeouts. HV00L is how mysql_fdw
 * reports whatever its server answers, a lost connection included. All others - bad data, missing privileges, syntax,
 * failed checks - would fail again in the same way.
 */
static const char *const passing[] = {"08",	   "40",	"53",	 "55P03", "57P",  "58",
									  "HV00L", "HV00N", "ZE007", "ZE008", "ZE009"};

/* etl_retry_class says whether an error of that SQLSTATE may be gone at the next attempt. */
bool
etl_retry_class(const char *sqlstate)
{
	for (int i = 0; i < lengthof(passing); i++)
		if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
			return true;
	return false;
}

/* default_delay returns the pause after an attempt of a task that names no retry_delays; NULL: no more retries. */
static Interval *
default_delay(EtlTaskKind kind, int attempt)
{
	static const int extract_minutes[] = {5, 15, 60};
	Interval *delay = palloc0(sizeof(Interval));

	if (kind == ETL_TASK_EXTRACT && attempt <= lengthof(extract_minutes))
		delay->time = extract_minutes[attempt - 1] * 60 * USECS_PER_SEC;
	else if (kind == ETL_TASK_EXTRACT || attempt > 1)
		return NULL;
	return delay;
}

/*
 * etl_retry_due says whether a task is tried again after an attempt (from 1) that failed with sqlstate, and when.
 * Without retry_delays an extract waits 5, 15 and 60 minutes, and every other kind is tried once more at once.
 */
bool
etl_retry_due(const EtlTask *task, int attempt, const char *sqlstate, TimestampTz ended_at, TimestampTz *due_at)
{
	Interval *delay;

	if (!etl_retry_class(sqlstate))
		return false;
	if (task->has_retry_delays)
		delay = attempt <= task->n_retry_delays ? &task->retry_delays[attempt - 1] : NULL;
	else
		delay = default_delay(task->kind, attempt);
	if (delay == NULL)
		return false;
	*due_at = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(ended_at), IntervalPGetDatum(delay)));
	return true;
}
