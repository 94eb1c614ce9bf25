/*
 * extension.h
 *		The extension itself, as workers see it: it can be dropped, made again, and updated while they are at work.
 *
 * A worker calls etl_extension_hold first in every transaction that touches tables of etl_ext. DROP EXTENSION locks the
 * extension before its tables: so it waits for the end of that transaction and is never waited for, and whoever gets
 * false gives way.
 */
#ifndef ETL_EXTENSION_H
#define ETL_EXTENSION_H

/*
 * Keeps the extension from being dropped until the end of the transaction; false: it is gone, or somebody is dropping
 * it or waits to. Never waits.
 */
extern bool etl_extension_hold(void);

/* Whether somebody is dropping the extension or waits to. Keeps nothing, never waits; inside a transaction. */
extern bool etl_extension_contended(void);

/*
 * Whether the extension is the one that this process saw first, in the version that it had. Afterwards a worker has to
 * make room for a fresh process. Inside a transaction.
 */
extern bool etl_extension_current(void);

/* Whether etl_extension_current has last found that extension, in whatever version: its runs go on. */
extern bool etl_extension_is_same(void);

#endif /* ETL_EXTENSION_H */
