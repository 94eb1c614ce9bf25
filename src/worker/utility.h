/*
 * utility.h
 *		Utility statements that concern etl_ext: those that need a database for themselves, and those that take a role
 *		away.
 */
#ifndef ETL_UTILITY_H
#define ETL_UTILITY_H

/* Installs the hook; called by _PG_init. */
extern void etl_utility_init(void);

#endif /* ETL_UTILITY_H */
