/*
 * errors.h
 *		SQLSTATEs of etl_ext's own refusals. Class ZE is outside the ranges that the SQL standard reserves and that
 *		PostgreSQL uses. Documented in docs/reference.md.
 */
#ifndef ETL_ERRORS_H
#define ETL_ERRORS_H

#include "utils/elog.h"

/* The tasks of a pipeline would depend on each other in a circle. */
#define ERRCODE_ETL_CYCLE MAKE_SQLSTATE('Z', 'E', '0', '0', '1')
/* A run that somebody waited for ended as failed. */
#define ERRCODE_ETL_RUN_FAILED MAKE_SQLSTATE('Z', 'E', '0', '0', '2')
/* A check, or a gate before the commit of a task, failed. */
#define ERRCODE_ETL_CHECK_FAILED MAKE_SQLSTATE('Z', 'E', '0', '0', '3')
/* An attempt is no longer the current one and may not commit. */
#define ERRCODE_ETL_STALE_ATTEMPT MAKE_SQLSTATE('Z', 'E', '0', '0', '4')
/* on_overlap => 'error' and another run is active. */
#define ERRCODE_ETL_OVERLAP MAKE_SQLSTATE('Z', 'E', '0', '0', '5')
/* The pipeline is paused. */
#define ERRCODE_ETL_PAUSED MAKE_SQLSTATE('Z', 'E', '0', '0', '6')
/* A source returned fewer rows than it says it has. */
#define ERRCODE_ETL_SHORT_READ MAKE_SQLSTATE('Z', 'E', '0', '0', '7')
/* A worker ended without a word: killed, or it could not start. */
#define ERRCODE_ETL_WORKER_LOST MAKE_SQLSTATE('Z', 'E', '0', '0', '8')
/* An attempt took longer than the timeout of its task. */
#define ERRCODE_ETL_TIMEOUT MAKE_SQLSTATE('Z', 'E', '0', '0', '9')

/* The server went down, or was replaced by its standby, while an attempt was at work. */
#define ERRCODE_ETL_SERVER_LOST MAKE_SQLSTATE('Z', 'E', '0', '1', '0')
/* A task is held back because the server went down during its last three attempts. */
#define ERRCODE_ETL_HELD MAKE_SQLSTATE('Z', 'E', '0', '1', '1')
/* A batch differs from what its source counts within the same bounds (reconcile => true). */
#define ERRCODE_ETL_MISMATCH MAKE_SQLSTATE('Z', 'E', '0', '1', '2')
/* The columns of a source have changed and schema_drift is freeze, or the change cannot be followed. */
#define ERRCODE_ETL_SCHEMA_CHANGED MAKE_SQLSTATE('Z', 'E', '0', '1', '3')
/* More rows would be marked as deleted than max_delete_pct allows, or the source has none left. */
#define ERRCODE_ETL_DELETES_REFUSED MAKE_SQLSTATE('Z', 'E', '0', '1', '4')
/* A fact is older than the late_window of its load; only in etl.quarantine. */
#define ERRCODE_ETL_LATE MAKE_SQLSTATE('Z', 'E', '0', '1', '6')

/* An attempt was rolled back because another one failed that would have been published at the same commit. */
#define ERRCODE_ETL_ROLLED_BACK MAKE_SQLSTATE('Z', 'E', '0', '1', '5')

#endif /* ETL_ERRORS_H */
