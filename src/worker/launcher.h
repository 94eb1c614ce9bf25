/*
 * launcher.h
 *		The static worker that starts schedulers by itself: only with shared_preload_libraries = 'etl_ext'.
 *
 * It looks once at every database after each start of the server, and again when a scheduler that left asked for it.
 */
#ifndef ETL_LAUNCHER_H
#define ETL_LAUNCHER_H

#include "datatype/timestamp.h"

/* Shared memory, the worker, hooks; called by _PG_init while the server starts. */
extern void etl_launcher_init(void);

/* Whether the server has a launcher. */
extern bool etl_launcher_exists(void);

/* A scheduler of this database has begun, or is about to leave; next: when somebody has to look again, DT_NOEND: never. */
extern void etl_launcher_scheduler_begins(void);
extern void etl_launcher_scheduler_leaves(TimestampTz next);

/*
 * Asks the launcher to look at a database now. Allocates and raises nothing: it may be called while a transaction
 * commits.
 */
extern void etl_launcher_poke(Oid database);

#endif /* ETL_LAUNCHER_H */
