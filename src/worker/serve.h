/* serve.h: what the worker that got a request does for it. */
#ifndef ETL_SERVE_H
#define ETL_SERVE_H

#include "dag/state.h"
#include "utils/jsonb.h"

extern int64 etl_serve(Jsonb *request, Oid caller, EtlRunState *state);

#endif /* ETL_SERVE_H */
