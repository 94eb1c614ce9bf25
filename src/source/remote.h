/*
 * remote.h
 *		A connection of our own to the server of a foreign table: same options and user mapping as the foreign data
 *		wrapper, nothing else to configure.
 *
 * It serves the postgres and mysql readers and everything that asks the source about itself: which transactions are
 * open, which columns it has, how many rows lie within some bounds. Each question is a transaction of its own unless
 * a reader has begun one.
 *
 * make reads the catalog (options, rights, passwords) and needs a transaction; connect and query wait for the network,
 * need none, and look at interrupts. An error of the source is raised with its own SQLSTATE (PostgreSQL) or one that
 * fits (MySQL): class 08 when the connection is lost. close raises nothing.
 */
#ifndef ETL_REMOTE_H
#define ETL_REMOTE_H

#include "source/relation.h"

typedef enum EtlRemoteKind
{
	ETL_REMOTE_POSTGRES,
	ETL_REMOTE_MYSQL
} EtlRemoteKind;

typedef struct EtlRemote EtlRemote;

/* Takes one row of an answer: n texts, NULL for NULL, which live until the next row. */
typedef void (*EtlRemoteRow)(char *const *value, void *arg);

typedef struct EtlRemoteRoutine
{
	EtlRemoteKind kind;
	const char *fdw; /* wrapper whose servers it connects to */
	EtlRemote *(*make)(const EtlSource *source);
	void (*connect)(EtlRemote *remote);
	int64 (*query)(EtlRemote *remote, const char *sql, int n, EtlRemoteRow row, void *arg);
	char *(*literal)(const EtlRemote *remote, const char *text);
	void (*close)(EtlRemote *remote);
} EtlRemoteRoutine;

/* Kinds of connections embed this as their first member. */
struct EtlRemote
{
	const EtlRemoteRoutine *routine;
	MemoryContext context; /* of the connection; lives until close */
	char *server_name;
};

extern const EtlRemoteRoutine etl_pg_remote; /* src/postgres/connection.c */
extern const EtlRemoteRoutine etl_my_remote; /* src/mysql/connection.c; absent without WITH_MYSQL */

/* A connection for a source, not yet connected; NULL: *why_not says in words why there is none (never NULL then). */
extern EtlRemote *etl_remote_make(const EtlSource *source, const char **why_not);

/* Connects. Errors: those of the server, 08001, 28xxx; 2F003 as postgres_fdw raises it. */
extern void etl_remote_connect(EtlRemote *remote);

/* Executes one statement and hands over its rows; returns how many. For small answers. */
extern int64 etl_remote_query(EtlRemote *remote, const char *sql, int n, EtlRemoteRow row, void *arg);

/* The n values of the only row, in the current context; NULL: there was no row. */
extern char **etl_remote_row(EtlRemote *remote, const char *sql, int n);

/* A string constant and an identifier in the source's dialect. */
extern char *etl_remote_literal(const EtlRemote *remote, const char *text);
extern char *etl_remote_identifier(const EtlRemote *remote, const char *name);

/* Ends the connection and frees everything; remote may be NULL. */
extern void etl_remote_close(EtlRemote *remote);

#endif /* ETL_REMOTE_H */
