/*
 * owner.h
 *		Who owns what in schema etl: rows name their owners by regrole, which PostgreSQL does not count as a dependency.
 */
#ifndef ETL_OWNER_H
#define ETL_OWNER_H

#include "etl_ext.h"

/* What a role owns, in words for the detail of an error; NULL: nothing. */
extern char *etl_owner_holdings(Oid role);

/* Gives everything of a role to another one, also in the definitions of runs that have not ended. */
extern void etl_owner_reassign(Oid from, Oid to);

#endif /* ETL_OWNER_H */
