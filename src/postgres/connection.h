/*
 * connection.h
 *		A libpq connection to the server of a foreign table of postgres_fdw.
 *
 * Every wait looks at interrupts. What is outside of memory contexts (socket, buffers of libpq) goes when the memory
 * context of the connection does, and a statement that is still running at the source is cancelled then.
 */
#ifndef ETL_PG_CONNECTION_H
#define ETL_PG_CONNECTION_H

#include "compat.h"
#include "libpq-fe.h"
#include "postgres/options.h"
#include "source/remote.h"

typedef struct EtlPgRemote
{
	EtlRemote base;
	EtlPgOptions *options;
	PGconn *conn; /* NULL: not connected */
	bool has_fd;  /* counted as an external file descriptor */
	MemoryContextCallback on_reset;
	struct EtlPgRemote *next; /* of all that are open in this process */
} EtlPgRemote;

/* Sends one or several statements; their answers come from etl_pg_result. */
extern void etl_pg_send(EtlPgRemote *remote, const char *sql);

/*
 * Waits for the next answer to sql; NULL: there is none left. An answer that is an error is raised. The caller frees it
 * with PQclear before anything that may raise an error.
 */
extern PGresult *etl_pg_result(EtlPgRemote *remote, const char *sql);

/* Takes the answers up to the last, which have to be commands without rows. */
extern void etl_pg_finish(EtlPgRemote *remote, const char *sql);

/* What a query would return: its columns with their types; PQclear as above. */
extern PGresult *etl_pg_describe(EtlPgRemote *remote, const char *sql);

/*
 * The next message of a COPY TO STDOUT, to be freed with PQfreemem; NULL: it ended, and etl_pg_result says how.
 * *length: its bytes.
 */
extern char *etl_pg_copy_message(EtlPgRemote *remote, const char *sql, int *length);

/* Raises an error of the source; res may be NULL and is cleared. */
extern ETL_NORETURN void etl_pg_raise(EtlPgRemote *remote, PGresult *res, const char *sql);

#endif /* ETL_PG_CONNECTION_H */
