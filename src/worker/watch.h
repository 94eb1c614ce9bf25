/*
 * watch.h
 *		What the launcher knows of each database, in shared memory: there only when the library is preloaded. Without it
 *		the functions do nothing. None of them allocates or raises anything.
 *
 * An entry is there while somebody has to look at a database at some time, schedules in it, or keeps workers out of it.
 */
#ifndef ETL_WATCH_H
#define ETL_WATCH_H

#include "datatype/timestamp.h"

/* Memory and hooks; called while the server starts. */
extern void etl_watch_init(void);
extern bool etl_watch_exists(void);

/* Asks the launcher to look at a database now. */
extern void etl_watch_poke(Oid database);

/* The life of a scheduler: it has started, holds the lock, gives it up. Its end without a word is noticed. */
extern void etl_watch_scheduler_starts(Oid database);
extern void etl_watch_scheduler_begins(Oid database);
extern void etl_watch_scheduler_leaves(Oid database, TimestampTz next);

/* Keeps workers out of a database until the same number of calls allow them again; gone: the database was dropped. */
extern void etl_watch_block(Oid database);
extern void etl_watch_unblock(Oid database, bool gone);
extern bool etl_watch_is_blocked(Oid database);

/* For the launcher. */
extern void etl_watch_launcher_begins(void);
extern Oid etl_watch_due(TimestampTz now, TimestampTz *next);
extern bool etl_watch_is_busy(Oid database);
extern bool etl_watch_is_looking(Oid database);
extern void etl_watch_look_begins(Oid database);
extern void etl_watch_look_failed(Oid database);
extern void etl_watch_look_later(Oid database, TimestampTz when);
extern void etl_watch_forget(Oid database);
extern bool etl_watch_overflowed(void);

#endif /* ETL_WATCH_H */
