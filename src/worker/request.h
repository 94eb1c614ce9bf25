/*
 * request.h
 *		How a session hands a run to the scheduler.
 *
 * The request travels in a dynamic shared memory segment to a worker that creates the run in a transaction of its own:
 * the run's record outlives a rollback of the caller. That worker then becomes the scheduler of the database, or, if
 * there is one, wakes it and leaves.
 */
#ifndef ETL_REQUEST_H
#define ETL_REQUEST_H

#include "dag/state.h"
#include "etl_ext.h"

typedef enum EtlRequestKind
{
	ETL_REQUEST_RUN,	/* a new run */
	ETL_REQUEST_DUE,	/* the runs that the pipeline's schedule has due */
	ETL_REQUEST_RETRY,	/* a run that has ended, again */
	ETL_REQUEST_RECOVER /* nothing but a scheduler */
} EtlRequestKind;

/* What run_pipeline, execute_pipeline, retry_run and recover were called with. */
typedef struct EtlRequest
{
	EtlRequestKind kind;
	int64 run_id; /* retry */
	bool latest;  /* retry: by the definitions of now */
	const char *pipeline;
	Jsonb *params;	/* NULL: none */
	EtlNames tasks; /* name == NULL: all */
	bool full_refresh;
	int64 replay_from; /* 0: no replay from a batch */
	bool force;		   /* full_refresh: delete although old raw rows are gone */
	bool is_inline;
	bool is_replay;			  /* for the audit log: etl.replay asked for it */
	TimestampTz logical_time; /* DT_NOBEGIN: now */
	int64 waiter;			  /* 0: nobody waits */
} EtlRequest;

extern Jsonb *etl_request_make(const EtlRequest *request);
extern int64 etl_request_submit(const EtlRequest *request, EtlRunState *state);
extern void etl_request_serve(uint32 handle);

#endif /* ETL_REQUEST_H */
