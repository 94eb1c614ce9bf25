/* interim.c: empty versions of functions that other files are about to define; goes when they do. */
#include "postgres.h"

#include "catalog/retention.h"
#include "notify/notifier.h"
#include "schedule/backfill.h"
#include "schedule/due.h"
#include "utils/timestamp.h"
#include "worker/launcher.h"

#pragma weak etl_notifier_due
#pragma weak etl_notifier_start
#pragma weak etl_due_step
#pragma weak etl_due_fire
#pragma weak etl_due_begin
#pragma weak etl_backfill_step
#pragma weak etl_launcher_init
#pragma weak etl_launcher_exists
#pragma weak etl_launcher_scheduler_begins
#pragma weak etl_launcher_scheduler_leaves
#pragma weak etl_launcher_poke
#pragma weak etl_retention_step

TimestampTz etl_notifier_due(void) { return DT_NOEND; }
bool etl_notifier_start(void) { return true; }
TimestampTz etl_due_step(TimestampTz now) { return DT_NOEND; }
int64 etl_due_fire(const char *pipeline, Oid caller, int64 waiter, TimestampTz now, EtlRunState *state) { return 0; }
void etl_due_begin(int64 pipeline_id, TimestampTz now) {}
int etl_backfill_step(void) { return 0; }
void etl_launcher_init(void) {}
bool etl_launcher_exists(void) { return false; }
void etl_launcher_scheduler_begins(void) {}
void etl_launcher_scheduler_leaves(TimestampTz next) {}
void etl_launcher_poke(Oid database) {}
bool etl_retention_step(void) { return false; }
