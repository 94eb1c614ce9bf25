/*
 * judge.c
 *		Whether promises are kept. See contract.h.
 *
 * The moments at which promises are due are gone through in their order, from what etl.contract_progress says on: a result
 * does not depend on when somebody looked. Rows are those that etl.batch counts.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "contract/contract.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "worker/step.h"

#define MIDNIGHT "00:00"
/* Who was away longer than this finds no results for what was due before. */
#define LONGEST_AWAY (40 * USECS_PER_DAY)
/* A median of fewer runs or days says nothing. */
#define FEWEST 3
/* Somebody else has the contract, or its judgement raised an error: try again after this time, in ms. */
#define LATER 30000

/* expiry returns when the newest row is too old; DT_NOEND: never. */
static TimestampTz
expiry(const EtlContract *contract)
{
	if (contract->freshness == NULL)
		return DT_NOEND;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(contract->newest_at),
												   IntervalPGetDatum(contract->freshness)));
}

/* interval_text prints an interval. */
static char *
interval_text(const Interval *interval)
{
	return DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(interval)));
}

/* seconds_text prints a length of time. */
static char *
seconds_text(int64 us)
{
	Interval span = {.time = us - us % USECS_PER_SEC};

	return interval_text(&span);
}

/* judge_arrival judges one arrival. */
static bool
judge_arrival(const EtlContract *contract, TimestampTz due)
{
	TimestampTz before = etl_contract_due_before(contract->arrival, contract->timezone, due);
	EtlArrived arrived = etl_contract_result_arrived(contract->source, before, due);
	EtlContractResult result = {.promise = "arrival", .due_at = due, .is_judged = true, .has_value = true};

	result.kept = arrived.rows > 0;
	result.value = arrived.rows;
	result.expected = psprintf("new rows between %s and %s", pstrdup(timestamptz_to_str(before)),
							   pstrdup(timestamptz_to_str(due)));
	result.measured = arrived.rows > 0 ? psprintf("new rows at %s", timestamptz_to_str(arrived.first)) : "none";
	return etl_contract_tell(contract, &result);
}

/* judge_freshness records that the newest row was too old, or was not, at a moment of the day that ends at due. */
static bool
judge_freshness(const EtlContract *contract, TimestampTz due, TimestampTz at, bool kept)
{
	EtlContractResult result = {.promise = "freshness", .due_at = due, .is_judged = true, .kept = kept};
	int64 age = Max(at - contract->newest_at, 0);

	result.has_value = true;
	result.value = (double) (age / USECS_PER_SEC);
	result.expected = psprintf("the newest row to be no older than %s", interval_text(contract->freshness));
	result.measured = psprintf("an age of %s", seconds_text(age));
	return etl_contract_tell(contract, &result);
}

/* narrow puts a bound into words, and says whether rows are within it. */
static bool
narrow(StringInfo words, double rows, double low, double high, const char *why)
{
	appendStringInfoString(words, words->len > 0 ? " and " : "");
	if (low >= 0 && high >= 0)
		appendStringInfo(words, "%.0f to %.0f rows", ceil(low), floor(high));
	else if (low >= 0)
		appendStringInfo(words, "at least %.0f rows", low);
	else
		appendStringInfo(words, "at most %.0f rows", high);
	appendStringInfoString(words, why);
	return (low < 0 || rows >= low) && (high < 0 || rows <= high);
}

/* judge_volume judges a number of rows of a run or, with run_id 0, of a day. */
static bool
judge_volume(const EtlContract *contract, EtlContractResult *result, int64 rows)
{
	EtlContractMedian median = {0};
	StringInfoData words;

	if (contract->min_rows < 0 && contract->max_rows < 0 && contract->max_change_pct == NULL)
		return false;
	initStringInfo(&words);
	result->promise = "volume";
	result->kept = true;
	result->has_value = true;
	result->value = rows;
	result->measured = psprintf(INT64_FORMAT " row%s", rows, rows == 1 ? "" : "s");
	if (contract->min_rows >= 0 || contract->max_rows >= 0)
	{
		result->is_judged = true;
		result->kept = narrow(&words, rows, contract->min_rows, contract->max_rows, "");
	}
	if (contract->max_change_pct)
		median = etl_contract_result_median(contract->contract_id, result->task_id, result->run_id);
	if (median.n >= FEWEST)
	{
		double part = median.rows * strtod(contract->max_change_pct, NULL) / 100;

		result->is_judged = true;
		if (!narrow(&words, rows, Max(median.rows - part, 0), median.rows + part,
					psprintf(" (%s %% around the median %.0f)", contract->max_change_pct, median.rows)))
			result->kept = false;
	}
	result->expected = words.len > 0 ? words.data : "something to compare with";
	return etl_contract_tell(contract, result);
}

/* judge_day judges what a day has to keep that has ended. */
static int
judge_day(const EtlContract *contract, TimestampTz end)
{
	TimestampTz begin = etl_contract_due_before(MIDNIGHT, contract->timezone, end);
	int n = 0;

	if (contract->freshness && !etl_contract_result_exists(contract->contract_id, "freshness", end))
		n += judge_freshness(contract, end, end, expiry(contract) >= end);
	if (contract->per_day)
	{
		EtlContractResult result = {.due_at = end};

		n += judge_volume(contract, &result, etl_contract_result_arrived(contract->source, begin, end).rows);
	}
	return n;
}

/* next_due returns when a clock decides something of the contract again. */
static TimestampTz
next_due(const EtlContract *contract, TimestampTz now)
{
	TimestampTz next = DT_NOEND;

	if (contract->arrival)
		next = etl_contract_next_due(contract->arrival, contract->timezone, contract->arrival_until);
	if (contract->freshness || contract->per_day)
		next = Min(next, etl_contract_next_due(MIDNIGHT, contract->timezone, contract->day_until));
	if (contract->freshness && expiry(contract) >= now)
		next = Min(next, expiry(contract) + 1);
	return next;
}

/* etl_contract_begin begins with this moment, or where the promises have come to. */
void
etl_contract_begin(EtlContract *contract)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!contract->is_begun)
	{
		contract->arrival_until = contract->day_until = now;
		contract->newest_at = etl_contract_result_newest(contract);
		if (contract->newest_at == DT_NOBEGIN)
			contract->newest_at = now;
	}
	contract->is_begun = true;
	etl_contract_progress(contract, next_due(contract, now));
}

/* etl_contract_judge goes through the moments; of a source that nobody reads nothing is known. */
int
etl_contract_judge(EtlContract *contract, TimestampTz now)
{
	bool judged = contract->is_read && contract->enabled;
	TimestampTz due;
	int n = 0;

	contract->arrival_until = Max(contract->arrival_until, now - LONGEST_AWAY);
	contract->day_until = Max(contract->day_until, now - LONGEST_AWAY);
	while (contract->arrival &&
		   (due = etl_contract_next_due(contract->arrival, contract->timezone, contract->arrival_until)) <= now)
	{
		CHECK_FOR_INTERRUPTS();
		if (judged)
			n += judge_arrival(contract, due);
		contract->arrival_until = due;
	}
	while ((due = etl_contract_next_due(MIDNIGHT, contract->timezone, contract->day_until)) <= now)
	{
		CHECK_FOR_INTERRUPTS();
		if (judged)
			n += judge_day(contract, due);
		contract->day_until = due;
	}
	if (judged && expiry(contract) < now && !etl_contract_result_exists(contract->contract_id, "freshness", due))
		n += judge_freshness(contract, due, now, false);
	etl_contract_progress(contract, next_due(contract, now));
	return n;
}

/* judge_run judges what each run has to keep. */
static void
judge_run(const EtlContract *contract, EtlAttempt *attempt, int64 rows)
{
	EtlContractResult result = {
		.due_at = GetCurrentTimestamp(),
		.run_id = attempt->run_id,
		.task_id = attempt->task->task_id,
		.task_run_id = attempt->task_run_id,
	};

	/* A full refresh reads what others have read before. */
	if (!contract->per_day && !(attempt->full_refresh && attempt->task->cursor_column))
		(void) judge_volume(contract, &result, rows);
}

/* judge_extract judges first what was due before, as it was known then. */
static void
judge_extract(EtlAttempt *attempt)
{
	TimestampTz now = GetCurrentTimestamp();
	EtlContract *contract;
	TimestampTz newest;
	int64 rows;

	contract = etl_contract_find(attempt->task->source, true);
	if (contract == NULL || !contract->enabled)
		return;
	CommandCounterIncrement();
	contract->is_read = true;
	if (!contract->is_begun)
		etl_contract_begin(contract);
	(void) etl_contract_judge(contract, now);
	rows = etl_contract_result_rows(attempt->task->task_id, attempt->run_id);
	judge_run(contract, attempt, rows);
	etl_contract_see_rows(contract, attempt);
	if (rows > 0)
		etl_contract_tell_recovered(contract, "arrival",
									psprintf(INT64_FORMAT " new row%s came", rows, rows == 1 ? "" : "s"));
	newest = etl_contract_result_newest(contract);
	if (newest != DT_NOBEGIN)
		contract->newest_at = newest;
	if (contract->freshness && expiry(contract) >= now)
		etl_contract_tell_recovered(contract, "freshness",
									psprintf("the newest row is of %s", timestamptz_to_str(contract->newest_at)));
	(void) etl_contract_judge(contract, now);
}

/*
 * etl_contract_extracted judges in a subtransaction: a contract that cannot be judged, of whose time zone the server knows
 * nothing any more for example, must not take the rows along. A cancel is not swallowed.
 */
void
etl_contract_extracted(EtlAttempt *attempt)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	if (attempt->is_backfill || etl_contract_find(attempt->task->source, false) == NULL)
		return;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		judge_extract(attempt);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			ReThrowError(error);
		etl_attempt_note(attempt, "The contract of the source could not be judged: %s", error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* judge_guarded judges one contract in a step; an error is logged and must not stop the others. */
static bool
judge_guarded(int64 contract_id, TimestampTz now)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		EtlContract *contract;

		etl_step_begin();
		contract = etl_contract_take(contract_id, false);
		if (contract != NULL && contract->is_begun)
			(void) etl_contract_judge(contract, now);
		etl_step_end();
		done = contract != NULL;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return done;
}

/* etl_contract_step goes through those that are due. */
TimestampTz
etl_contract_step(TimestampTz now)
{
	MemoryContext caller = CurrentMemoryContext;
	TimestampTz next;
	bool all = true;
	int64 *due;
	int n;

	etl_step_begin();
	MemoryContextSwitchTo(caller);
	n = etl_contract_due(now, &due);
	etl_step_end();
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		all = judge_guarded(due[i], now) && all;
	}
	etl_step_begin();
	next = etl_contract_next();
	etl_step_end();
	return all ? next : Max(next, TimestampTzPlusMilliseconds(now, LATER));
}
