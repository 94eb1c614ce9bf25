/*
 * stream.h
 *		Executes a query and hands each row to a function, without collecting them.
 */
#ifndef ETL_STREAM_H
#define ETL_STREAM_H

#include "executor/tuptable.h"

/* The slot is valid until the function returns. The function must not execute SQL. */
typedef void (*EtlStreamRow)(TupleTableSlot *slot, void *arg);

/* Executes one statement that returns rows, as the current user, and returns how many rows it gave. */
extern uint64 etl_stream_query(const char *sql, EtlStreamRow row, void *arg);

/* The same, in the active snapshot: several statements see the same rows. */
extern uint64 etl_stream_active(const char *sql, EtlStreamRow row, void *arg);

#endif /* ETL_STREAM_H */
