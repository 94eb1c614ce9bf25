/*
 * stream.c
 *		Executes a query and hands each row to a function. See stream.h.
 *
 * SPI collects result rows in memory unless it is given a receiver; with one, memory stays flat whatever the number of
 * rows. The plan is not a parallel one, because the receiver writes.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "source/stream.h"
#include "tcop/dest.h"

typedef struct StreamReceiver
{
	DestReceiver pub;
	EtlStreamRow row;
	void *arg;
	uint64 n;
} StreamReceiver;

/* receive_row passes a row on. */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	StreamReceiver *receiver = (StreamReceiver *) self;

	CHECK_FOR_INTERRUPTS();
	receiver->n++;
	receiver->row(slot, receiver->arg);
	return true;
}

/* start_rows has nothing to prepare. */
static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
}

/* end_rows has nothing to finish; it serves as the destructor too. */
static void
end_rows(DestReceiver *self)
{
}

/* stream executes sql with rows streamed to row(slot, arg); read_only is what SPI calls the active snapshot. */
static uint64
stream(const char *sql, EtlStreamRow row, void *arg, bool read_only)
{
	StreamReceiver receiver = {{receive_row, start_rows, end_rows, end_rows, DestNone}, row, arg, 0};
	SPIExecuteOptions options = {0};
	MemoryContext caller = CurrentMemoryContext;
	SPIPlanPtr plan;
	int rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	options.dest = (DestReceiver *) &receiver;
	options.read_only = read_only;
	rc = SPI_execute_plan_extended(plan, &options);
	if (rc != SPI_OK_SELECT && rc != SPI_OK_UTILITY)
		elog(ERROR, "statement returned %s: %s", SPI_result_code_string(rc), sql);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
	return receiver.n;
}

/* etl_stream_query sees what is committed now. */
uint64
etl_stream_query(const char *sql, EtlStreamRow row, void *arg)
{
	return stream(sql, row, arg, false);
}

/* etl_stream_active sees what the active snapshot sees. */
uint64
etl_stream_active(const char *sql, EtlStreamRow row, void *arg)
{
	return stream(sql, row, arg, true);
}
