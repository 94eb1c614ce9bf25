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

/* Keys that are written by one statement. */
#define PIECE_KEYS 500000

typedef struct Write
{
	EtlHistoryRun *run;
	bool has_deletes;
	bool has_updates;
	bool has_growers;
	bool has_inserts;
	int64 low;
	int64 high;
} Write;

/* write_keys writes the changes of some keys. */
static void
write_keys(void *arg, int64 low, int64 high)
{
	Write *write = arg;

	if (write->has_deletes)
		(void) etl_dml_run(etl_history_delete_statement(write->run, low, high));
	if (write->has_updates)
		(void) etl_dml_run(etl_history_update_statement(write->run, low, high));
	if (write->has_growers)
		(void) etl_dml_run(etl_history_grow_statement(write->run, low, high));
	if (write->has_inserts)
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

/* look_for says whether there are changes of a kind. */
static bool
look_for(const EtlHistoryRun *run, const char *condition)
{
	int64 n;

	return etl_sql_int64(psprintf("SELECT 1 FROM %s WHERE %s LIMIT 1", run->table.changes, condition), &n);
}

/* etl_history_write writes the changes. */
void
etl_history_write(EtlHistoryRun *run)
{
	Write write = {.run = run};
	EtlBisect bisect = {write_keys, NULL, reject_key, &write};
	bool is_indexed = run->n_keys > PIECE_KEYS;

	write.has_deletes = look_for(run, "_etl_op = 'D'");
	write.has_updates = look_for(run, "_etl_op = 'U'");
	write.has_inserts = look_for(run, "_etl_op = 'I'");
	write.has_growers = look_for(run, "_etl_op = 'U' AND (_etl_from < _etl_old_from OR _etl_to > _etl_old_to)");
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
}
