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

/* What run_pipeline and execute_pipeline were called with. */
typedef struct EtlRequest
{
	const char *pipeline;
	Jsonb *params;	/* NULL: none */
	EtlNames tasks; /* name == NULL: all */
	bool full_refresh;
	bool is_inline;
	TimestampTz logical_time; /* DT_NOBEGIN: now */
	int64 waiter;			  /* 0: nobody waits */
} EtlRequest;

extern Jsonb *etl_request_make(const EtlRequest *request);
extern int64 etl_request_submit(const EtlRequest *request, EtlRunState *state);
extern void etl_request_serve(uint32 handle);

#endif /* ETL_REQUEST_H */
