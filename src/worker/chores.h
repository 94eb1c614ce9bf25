/*
 * chores.h
 *		What the scheduler does beside the runs: schedules, backfills, deliveries of alerts, old history; and whether it may
 *		work at all.
 */
#ifndef ETL_CHORES_H
#define ETL_CHORES_H

#include "catalog/run.h"

/* Whether the scheduler may go on; false: the extension is gone, or another version. In a transaction. */
extern bool etl_chores_may_work(void);

/* Does what is due; true while there is something that the scheduler has to stay for. Outside of a transaction. */
extern bool etl_chores_do(void);

/* Whether schedules and backfills have to be looked at once more before the scheduler leaves; the next etl_chores_do does. */
extern bool etl_chores_must_look(void);

/* When there is something to do again; DT_NOEND: nothing is planned. */
extern TimestampTz etl_chores_next(void);

/* A run has ended: another one of its backfill may begin. */
extern void etl_chores_run_ended(const EtlRunLine *line);

#endif /* ETL_CHORES_H */
