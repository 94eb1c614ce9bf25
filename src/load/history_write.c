/*
 * history_write.c
 *		Writes what a run in mode scd2 has found to write. See history_run.h.
 *
 * A number of keys at a time, so that the queue of the constraint trigger stays bounded. When the target refuses a row, the
 * keys at fault are found by bisection: their versions go to etl.quarantine and the rest is written.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "load/bisect.h"
#include "load/dml.h"
#include "load/history_run.h"
#include "load/reject.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* Keys that are written by one statement. */
#define PIECE_KEYS 500000

typedef struct Write
{
	EtlHistoryRun *run;
	int64 low;
	int64 high;
} Write;

/* write_keys writes the changes of some keys. */
static void
write_keys(void *arg, int64 low, int64 high)
{
	Write *write = arg;

	if (write->run->tally.deleted > 0)
		(void) etl_dml_run(etl_history_delete_statement(write->run, low, high));
	if (write->run->tally.updated > 0)
		(void) etl_dml_run(etl_history_update_statement(write->run, low, high));
	if (write->run->tally.grown > 0)
		(void) etl_dml_run(etl_history_grow_statement(write->run, low, high));
	if (write->run->tally.inserted > 0)
		(void) etl_dml_run(etl_history_insert_statement(write->run, low, high));
}

/* write_piece writes the keys of the piece, for etl_bisect_try. */
static void
write_piece(void *arg)
{
	Write *write = arg;

	write_keys(arg, write->low, write->high);
}

/* reject_key puts the versions of a key aside that the target refuses; without any, the error stands. */
static void
reject_key(void *arg, int64 key, const ErrorData *error)
{
	Write *write = arg;
	EtlHistoryRun *run = write->run;
	EtlAttempt *attempt = run->delta->attempt;
	char *sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	EtlReject reject = {run->table.versions, error->message, sqlstate, error->column_name};
	int64 before = attempt->counts.rejected;

	etl_reject_rows(run->versions, &reject,
					psprintf("EXISTS (SELECT 1 FROM %s AS k WHERE k._etl_k = " INT64_FORMAT " AND %s)", run->table.keys,
							 key, etl_history_same_key(run->plan, "k.", "s.")));
	if (attempt->counts.rejected == before)
		ereport(ERROR, (errcode(error->sqlerrcode), errmsg("%s", error->message),
						error->detail ? errdetail("%s", error->detail) : 0,
						errhint("Target %s does not let a row be closed that was deleted.", run->plan->target_name)));
	(void) etl_dml_run(psprintf("DELETE FROM %s WHERE _etl_k = " INT64_FORMAT, run->table.changes, key));
}

/* etl_history_write writes the changes. */
void
etl_history_write(EtlHistoryRun *run)
{
	Write write = {.run = run};
	EtlBisect bisect = {write_keys, NULL, reject_key, &write};
	bool is_indexed = run->n_keys > PIECE_KEYS;
	int level = etl_history_prefer_index(run->plan, run->n_old);

	if (is_indexed)
		(void) etl_sql_exec(psprintf("CREATE INDEX ON %s (_etl_k)", run->table.changes), SPI_OK_UTILITY);
	for (write.low = 1; write.low <= run->n_keys; write.low += PIECE_KEYS)
	{
		CHECK_FOR_INTERRUPTS();
		write.high = Min(write.low + PIECE_KEYS - 1, run->n_keys);
		if (etl_bisect_try(write_piece, &write) == NULL)
			continue;
		if (!is_indexed)
			(void) etl_sql_exec(psprintf("CREATE INDEX ON %s (_etl_k)", run->table.changes), SPI_OK_UTILITY);
		is_indexed = true;
		etl_bisect_run(&bisect, write.low, write.high);
	}
	AtEOXact_GUC(true, level);
}
