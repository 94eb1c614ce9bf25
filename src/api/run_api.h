/* run_api.h: what the functions about runs have in common. */
#ifndef ETL_RUN_API_H
#define ETL_RUN_API_H

#include "worker/request.h"

/* Makes sure that a run exists and is the caller's business. Returns the name of its pipeline. Errors: 42704, 42501. */
extern char *etl_run_api_check(int64 run_id);

/* Submits a request for a run; wait: and waits for its end, with what etl.run_pipeline raises then. Returns its number. */
extern int64 etl_run_api_submit(EtlRequest *request, bool wait);

#endif /* ETL_RUN_API_H */
