/* transition.h: the one place in which runs and tasks change their state. */
#ifndef ETL_TRANSITION_H
#define ETL_TRANSITION_H

#include "catalog/run.h"
#include "catalog/task_run.h"

extern bool etl_transition_task(const EtlTaskChange *change);
extern bool etl_transition_run(int64 run_id, EtlRunState from, EtlRunState to, const char *message);

#endif /* ETL_TRANSITION_H */
