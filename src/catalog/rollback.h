/*
 * rollback.h
 *		What stands in the way of taking a run back, as the history tells, and noting that it was.
 */
#ifndef ETL_ROLLBACK_H
#define ETL_ROLLBACK_H

#include "c.h"

/*
 * The later attempts that have changed what the run wrote, or have read it, one run per line; NULL: there are none. Runs that were
 * taken back do not count.
 */
extern char *etl_rollback_later(int64 run_id);

/* The tasks of the run that have changed something of which no undo is there, in one line; NULL: there are none. */
extern char *etl_rollback_unkept(int64 run_id);

/* The tasks of kind sql that have worked in the run, in one line; NULL: there are none. */
extern char *etl_rollback_commands(int64 run_id);

/* A run of the pipeline that has not ended; 0: there is none. */
extern int64 etl_rollback_active(int64 pipeline_id);

/* When the run was taken back, as text; NULL: it was not. */
extern char *etl_rollback_done(int64 run_id);

/* Notes that role has taken the run back. */
extern void etl_rollback_note(int64 run_id, Oid role);

#endif /* ETL_ROLLBACK_H */
