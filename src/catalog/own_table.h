/*
 * own_table.h
 *		Tables in schema etl that are made while etl_ext works, one for each task that needs it: they belong to the owner of the
 *		extension and are members of it, so that DROP EXTENSION takes them along and no dump has them.
 */
#ifndef ETL_OWN_TABLE_H
#define ETL_OWN_TABLE_H

#include "postgres.h"

/* Executes a statement, or a list of them, as the owner of the extension. Returns the number of rows. */
extern uint64 etl_own_table_execute(const char *sql, int expected);

/* The table etl.<name>, which may be dropped any moment; InvalidOid: there is none. */
extern Oid etl_own_table_find(const char *name);

/* Makes a table a member of the extension, or takes it out. Its rights must not change while it is a member. */
extern void etl_own_table_set_member(Oid table, bool is_member);

/*
 * Lets ANALYZE, which runs as the owner of the extension, leave out columns whose types are not PostgreSQL's own: for the
 * statistics of a range, a function of whoever made its type would be called.
 */
extern void etl_own_table_omit_statistics(Oid table);

/* Gives a role the right to read, insert and delete rows. name: qualified. */
extern void etl_own_table_grant(const char *name, Oid role);

#endif /* ETL_OWN_TABLE_H */
