/* wake.h: telling the scheduler that a transaction has changed something that it should look at. */
#ifndef ETL_WAKE_H
#define ETL_WAKE_H

/*
 * When the current transaction commits, wakes the scheduler of this database, or has one started if there is none. A
 * rollback, also to a savepoint, wakes nobody. If no worker is free the change waits for the next scheduler.
 */
extern void etl_wake_at_commit(void);

#endif /* ETL_WAKE_H */
