/*
 * guard.h
 *		etl.guard_ddl: whoever drops, renames or retypes what tasks name is told of it, or refused.
 */
#ifndef ETL_CONTRACT_GUARD_H
#define ETL_CONTRACT_GUARD_H

/* Defines the setting and installs the hook; called once, when the library is loaded. */
extern void etl_guard_init(void);

/* Tells of what the statement that has just been executed has changed. Errors: 2BP01 with etl.guard_ddl = error. */
extern void etl_guard_report(void);

#endif /* ETL_CONTRACT_GUARD_H */
