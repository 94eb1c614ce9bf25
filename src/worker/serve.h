/* serve.h: what the worker that got a request does for it. */
#ifndef ETL_SERVE_H
#define ETL_SERVE_H

#include "dag/state.h"
#include "utils/jsonb.h"

extern int64 etl_serve(Jsonb *request, Oid caller, EtlRunState *state);

/* Writes a new run to the audit log; request as etl_request_make makes it. */
extern void etl_serve_note_run(Jsonb *request, Oid caller, int64 run_id);

#endif /* ETL_SERVE_H */
