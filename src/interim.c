/* interim.c: empty versions of functions that other files are about to define; goes when they do. */
#include "postgres.h"

#include "schedule/due.h"
#include "utils/timestamp.h"

#pragma weak etl_due_step
#pragma weak etl_due_fire
#pragma weak etl_due_begin

TimestampTz etl_due_step(TimestampTz now) { return DT_NOEND; }
int64 etl_due_fire(const char *pipeline, Oid caller, int64 waiter, TimestampTz now, EtlRunState *state) { return 0; }
void etl_due_begin(int64 pipeline_id, TimestampTz now) {}
