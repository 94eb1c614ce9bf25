/*
 * options.h
 *		The parameters of a connection to the server of a foreign table of postgres_fdw.
 */
#ifndef ETL_PG_OPTIONS_H
#define ETL_PG_OPTIONS_H

#include "source/relation.h"

typedef struct EtlPgOptions
{
	const char **keyword; /* for PQconnectStartParams, with a NULL at the end */
	const char **value;
	int n;
	bool password_required; /* the current user is no superuser and nobody let him go without one */
} EtlPgOptions;

/*
 * Options of the server and of the current user's mapping (or that of PUBLIC) that libpq knows, and our own. Errors:
 * 42704 without a user mapping; 2F003 when a password is required and there is none in it. In a transaction.
 */
extern EtlPgOptions *etl_pg_options_get(const EtlSource *source);

/* The value of a parameter, or NULL. */
extern const char *etl_pg_options_value(const EtlPgOptions *options, const char *keyword);

#endif /* ETL_PG_OPTIONS_H */
