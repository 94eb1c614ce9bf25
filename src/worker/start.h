/* start.h: giving ready tasks to workers. */
#ifndef ETL_START_H
#define ETL_START_H

/* Starts as many ready tasks of all known runs as may start. Called outside of a transaction. */
extern void etl_start_ready(void);

/* Whether tasks wait because the server has no free background worker. */
extern bool etl_start_waits_for_worker(void);

#endif /* ETL_START_H */
