/*
 * connection.h
 *		A connection to a MySQL or MariaDB server: what the files of src/mysql share.
 *
 * Everything that waits goes through the non-blocking interface of libmariadb: its functions run until they would have
 * to wait, the wait happens here, on the socket and on our latch, so that it can be interrupted. They run on a stack of
 * their own; nothing of PostgreSQL is called from there.
 *
 * A connection on which an error was raised is not used again: close ends it.
 */
#ifndef ETL_MYSQL_CONNECTION_H
#define ETL_MYSQL_CONNECTION_H

#include "compat.h"
#include "lib/ilist.h"
#include "mysql/client.h"
#include "source/remote.h"

/* The options of the server, the user mapping and the table that connecting needs; NULL: not given. */
typedef struct EtlMyOptions
{
	char *host;
	int port;
	char *user;
	char *password;
	char *database;
	char *init_command;
	char *sql_mode;
	bool secure_auth;
	char *ssl_key;
	char *ssl_cert;
	char *ssl_ca;
	char *ssl_capath;
	char *ssl_cipher;
	bool wants_tls; /* one of the ssl options is given */
} EtlMyOptions;

typedef struct EtlMyRemote
{
	EtlRemote base;
	EtlMyOptions options;
	MYSQL *mysql;	   /* NULL: not connected */
	MYSQL_RES *result; /* of the statement whose rows are being fetched; NULL: none */
	bool has_fd;	   /* a file descriptor is accounted for */
	bool busy;		   /* a statement is under way: what it left unread is in the socket */
	bool in_snapshot;
	bool is_mariadb;
	char *token; /* ends each statement as a comment, so that it is found in the server's list of processes */
	MemoryContextCallback callback;
	dlist_node node; /* in the list of open connections */
} EtlMyRemote;

/* ---- options.c ---- */

/* Reads the options as mysql_fdw does, for the current user. Errors: 42704 without a user mapping. */
extern void etl_my_options_read(EtlMyOptions *options, const EtlSource *source);

/* A handle with the options set, not connected; NULL: no memory. Raises nothing. */
extern MYSQL *etl_my_options_handle(const EtlMyOptions *options, unsigned int timeout);

/* ---- error.c ---- */

/* Raises what the handle says: its message with MySQL's number, and an SQLSTATE that fits. */
extern ETL_NORETURN void etl_my_error(EtlMyRemote *my, const char *what);

/* SQLSTATE for an error of MySQL. */
extern int etl_my_error_code(unsigned int number, const char *sqlstate, bool connecting);

/* ---- encoding.c ---- */

/* A copy of a text from MySQL in the encoding of the database. Errors: 22021, 22P05. */
extern char *etl_my_from_utf8(const char *text, size_t length);

/* A text of this database as it is sent to MySQL. */
extern const char *etl_my_to_utf8(const char *text);

/* ---- statement.c ---- */

/* Waits until one of the events of MYSQL_WAIT_* in status has come, looking at interrupts; returns those that have. */
extern int etl_my_wait(EtlMyRemote *my, int status);

/* Sends a statement and waits for the first answer; its rows, if it has any, are fetched one by one. */
extern void etl_my_start(EtlMyRemote *my, const char *sql);

/* The next row, which is valid until the next call; NULL: there are no more, and the statement has ended. */
extern MYSQL_ROW etl_my_fetch(EtlMyRemote *my);

/* Executes a statement whose rows, if any, are not wanted. */
extern void etl_my_execute(EtlMyRemote *my, const char *sql);

/* ---- connection.c ---- */

/* Begins the consistent snapshot in which everything is read from then on, unless it has begun. */
extern void etl_my_begin_snapshot(EtlMyRemote *my);

/* ---- kill.c ---- */

/* Ends the statement that is under way at the server through a connection of its own, within two seconds; raises nothing. */
extern void etl_my_kill(const EtlMyRemote *my);

#endif /* ETL_MYSQL_CONNECTION_H */
