/*
 * live.h
 *		Shared memory of a worker that does attempts: how far it is, and what parallel workers have used for it.
 *
 * Made by the executor when it has claimed its attempts, gone with its process. etl.task_run.live has the handle, so that
 * other sessions find it while the executor's transaction is open; helpers and parallel workers are given it. A handle
 * whose memory is gone is recognised, and one that was given out again by the magic number and the number of the attempt.
 */
#ifndef ETL_LIVE_H
#define ETL_LIVE_H

#include "observe/usage.h"

/* What an attempt does. The names are in etl.progress. */
typedef enum EtlProgressStep
{
	ETL_STEP_START,	  /* has begun */
	ETL_STEP_CONNECT, /* asks the source what there is */
	ETL_STEP_READ,	  /* extract: reads rows and stores them */
	ETL_STEP_COMPARE, /* extract: looks for rows that were deleted in the source */
	ETL_STEP_COMPILE, /* load: finds out what is new */
	ETL_STEP_DELTA,	  /* load: evaluates the query */
	ETL_STEP_WRITE,	  /* load: brings the rows into the target */
	ETL_STEP_COMMAND, /* sql: executes the statements */
	ETL_STEP_CHECK,	  /* evaluates a check or the gates */
	ETL_STEP_FINISH	  /* records and commits */
} EtlProgressStep;

/* The counters are written by the executor and its helpers and read by anybody, without a lock: each is right by itself. */
typedef struct EtlLive
{
	uint32 magic;
	Oid database;
	pg_atomic_uint64 task_run_id; /* the attempt at work */
	pg_atomic_uint32 step;
	pg_atomic_uint32 part; /* read: which batch */
	pg_atomic_uint32 is_estimate;
	pg_atomic_uint64 step_began; /* TimestampTz */
	pg_atomic_uint64 rows;		 /* of the step */
	pg_atomic_uint64 bytes;
	pg_atomic_uint64 done;	/* in whatever total is counted */
	pg_atomic_uint64 total; /* 0: not known */
	EtlUsageShare used;		/* by helpers and parallel workers */
} EtlLive;

/* In an executor: makes the memory; returns its handle, 0 if there is no room for it: the work goes on without it. */
extern uint32 etl_live_make(int64 task_run_id);

/* In a helper: joins the memory of its executor. */
extern void etl_live_join(uint32 handle);

/* In a helper that goes on by itself: adds what it has used so far. */
extern void etl_live_share(uint32 handle);

/* The memory of this process; NULL: it has none. */
extern EtlLive *etl_live_mine(void);
extern uint32 etl_live_handle(void);

/* Reads a meter of this process, and adds what helpers and parallel workers have used since the last time. */
extern void etl_live_read(EtlMeter *meter);

/* Copies what is there for an attempt; false: its worker is gone. */
extern bool etl_live_look(uint32 handle, int64 task_run_id, EtlLive *copy);

extern void etl_live_init(void);

#endif /* ETL_LIVE_H */
