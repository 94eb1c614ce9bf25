/*
 * connection.c
 *		A libpq connection to the server of a foreign table of postgres_fdw. See connection.h.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postgres/connection.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* As in postgres_fdw, so that values have one text form; and nothing at the source can be changed. */
#define SESSION_SETTINGS                                                                                               \
	"SET search_path = pg_catalog; SET timezone = 'GMT'; SET datestyle = ISO; SET intervalstyle = postgres; "          \
	"SET extra_float_digits = 3; SET bytea_output = hex; SET default_transaction_read_only = on"

/* The shortest time that libpq allows itself for a connection, in s. */
#define SHORTEST_CONNECT_TIMEOUT 2

/* Open connections of this process: what the source executes for them is cancelled when the process is terminated. */
static EtlPgRemote *open_remotes = NULL;
static bool exit_registered = false;

/* cancel stops what the source executes for a connection. Raises nothing. */
static void
cancel(EtlPgRemote *remote)
{
	char error[256];
	PGcancel *cancel;

	if (remote->conn == NULL || PQstatus(remote->conn) != CONNECTION_OK ||
		PQtransactionStatus(remote->conn) != PQTRANS_ACTIVE)
		return;
	cancel = PQgetCancel(remote->conn);
	if (cancel == NULL)
		return;
	(void) PQcancel(cancel, error, sizeof(error));
	PQfreeCancel(cancel);
}

/* cancel_all is called when the process ends: a FATAL error passes by what would have closed the connections. */
static void
cancel_all(int code, Datum arg)
{
	for (EtlPgRemote *remote = open_remotes; remote; remote = remote->next)
		cancel(remote);
}

/* disconnect is called when the memory context of a connection goes. Raises nothing. */
static void
disconnect(void *arg)
{
	EtlPgRemote *remote = arg;

	for (EtlPgRemote **link = &open_remotes; *link; link = &(*link)->next)
		if (*link == remote)
		{
			*link = remote->next;
			break;
		}
	cancel(remote);
	if (remote->conn)
		PQfinish(remote->conn);
	remote->conn = NULL;
	if (remote->has_fd)
		ReleaseExternalFD();
	remote->has_fd = false;
}

/* pg_make collects the parameters. */
static EtlRemote *
pg_make(const EtlSource *source)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "etl connection", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	EtlPgRemote *remote = palloc0(sizeof(EtlPgRemote));

	remote->base.routine = &etl_pg_remote;
	remote->base.context = context;
	remote->base.server_name = pstrdup(source->server_name);
	remote->options = etl_pg_options_get(source);
	remote->on_reset.func = disconnect;
	remote->on_reset.arg = remote;
	MemoryContextRegisterResetCallback(context, &remote->on_reset);
	remote->next = open_remotes;
	open_remotes = remote;
	if (!exit_registered)
		before_shmem_exit(cancel_all, 0);
	exit_registered = true;
	MemoryContextSwitchTo(old);
	return &remote->base;
}

/* refuse_connection reports that there is no connection, in the words of postgres_fdw. */
static ETL_NORETURN void
refuse_connection(const EtlPgRemote *remote, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to server \"%s\"", remote->base.server_name), errdetail_internal("%s", why)));
	pg_unreachable();
}

/* wait_socket waits until the socket is ready or the time is over (ms; -1: no limit); false: it is over. */
static bool
wait_socket(const EtlPgRemote *remote, int events, long timeout)
{
	int happened = WaitLatchOrSocket(MyLatch,
									 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | events | (timeout >= 0 ? WL_TIMEOUT : 0),
									 PQsocket(remote->conn), timeout, PG_WAIT_EXTENSION);

	if (happened & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return (happened & WL_TIMEOUT) == 0;
}

/* connect_deadline returns when to give up; libpq leaves connect_timeout, which is per host, to those who poll. */
static TimestampTz
connect_deadline(const EtlPgRemote *remote)
{
	const char *timeout = etl_pg_options_value(remote->options, "connect_timeout");
	const char *host = etl_pg_options_value(remote->options, "host");
	int seconds = timeout ? atoi(timeout) : 0;
	int hosts = 1;

	if (seconds <= 0)
		return DT_NOEND;
	for (; host && *host; host++)
		hosts += *host == ',';
	return GetCurrentTimestamp() + (TimestampTz) Max(seconds, SHORTEST_CONNECT_TIMEOUT) * hosts * USECS_PER_SEC;
}

/* poll_connection waits until the connection stands. */
static void
poll_connection(EtlPgRemote *remote)
{
	TimestampTz deadline = connect_deadline(remote);
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (state != PGRES_POLLING_OK)
	{
		long left = -1;

		if (state == PGRES_POLLING_FAILED)
			refuse_connection(remote, pchomp(PQerrorMessage(remote->conn)));
		if (deadline != DT_NOEND)
			left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		if (left == 0 ||
			!wait_socket(remote, state == PGRES_POLLING_READING ? WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE, left))
			refuse_connection(remote, "timeout expired");
		CHECK_FOR_INTERRUPTS();
		state = PQconnectPoll(remote->conn);
	}
}

/* check_password_used refuses a server that let a user in without his password, as postgres_fdw does. */
static void
check_password_used(const EtlPgRemote *remote)
{
	if (!remote->options->password_required || PQconnectionUsedPassword(remote->conn))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED), errmsg("password is required"),
			 errdetail("Non-superuser cannot connect if the server does not request a password."),
			 errhint("Target server's authentication method must be changed or password_required=false set in the user "
					 "mapping attributes.")));
}

/* ignore_notice keeps notices of the source out of this server's log, where libpq would print them. */
static void
ignore_notice(void *arg, const PGresult *res)
{
}

/* pg_connect connects and prepares the session. */
static void
pg_connect(EtlRemote *base)
{
	EtlPgRemote *remote = (EtlPgRemote *) base;

	if (remote->conn)
		return;
	remote->has_fd = AcquireExternalFD();
	if (!remote->has_fd)
		refuse_connection(remote, "There are too many open files on the local server.");
	remote->conn = PQconnectStartParams(remote->options->keyword, remote->options->value, false);
	if (remote->conn == NULL)
		refuse_connection(remote, "out of memory");
	if (PQstatus(remote->conn) == CONNECTION_BAD)
		refuse_connection(remote, pchomp(PQerrorMessage(remote->conn)));
	poll_connection(remote);
	(void) PQsetNoticeReceiver(remote->conn, ignore_notice, NULL);
	check_password_used(remote);
	etl_pg_send(remote, SESSION_SETTINGS);
	etl_pg_finish(remote, SESSION_SETTINGS);
}

/* field copies a part of an error, or returns NULL. */
static char *
field(const PGresult *res, int code)
{
	const char *text = res ? PQresultErrorField(res, code) : NULL;

	return text ? pstrdup(text) : NULL;
}

/* raise_lost reports a connection that is gone; detail: the last words of the source. */
static ETL_NORETURN void
raise_lost(const EtlPgRemote *remote, const char *detail, const char *sql)
{
	ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
					errmsg("connection to server \"%s\" was lost", remote->base.server_name),
					errdetail_internal("%s", detail), sql ? errcontext("remote SQL command: %s", sql) : 0));
	pg_unreachable();
}

/*
 * etl_pg_raise raises an error of the source with its own SQLSTATE. Where the connection went down with it, that is what
 * counts: an administrator who ends sessions of the source does not end this one.
 */
void
etl_pg_raise(EtlPgRemote *remote, PGresult *res, const char *sql)
{
	char *state = field(res, PG_DIAG_SQLSTATE);
	char *message = field(res, PG_DIAG_MESSAGE_PRIMARY);
	char *detail = field(res, PG_DIAG_MESSAGE_DETAIL);
	char *hint = field(res, PG_DIAG_MESSAGE_HINT);
	char *context = field(res, PG_DIAG_CONTEXT);

	if (message == NULL)
		message = pchomp(PQerrorMessage(remote->conn));
	PQclear(res);
	if (PQstatus(remote->conn) == CONNECTION_BAD || state == NULL || strncmp(state, "57P", 3) == 0)
		raise_lost(remote, message, sql);
	ereport(ERROR,
			(errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])), errmsg_internal("%s", message),
			 detail ? errdetail_internal("%s", detail) : 0, hint ? errhint("%s", hint) : 0,
			 context ? errcontext("%s", context) : 0, sql ? errcontext("remote SQL command: %s", sql) : 0));
	pg_unreachable();
}

/* etl_pg_send sends. */
void
etl_pg_send(EtlPgRemote *remote, const char *sql)
{
	if (!PQsendQuery(remote->conn, sql))
		etl_pg_raise(remote, NULL, sql);
}

/* etl_pg_result waits for an answer. */
PGresult *
etl_pg_result(EtlPgRemote *remote, const char *sql)
{
	PGresult *res;

	while (PQisBusy(remote->conn))
	{
		(void) wait_socket(remote, WL_SOCKET_READABLE, -1);
		CHECK_FOR_INTERRUPTS();
		if (!PQconsumeInput(remote->conn))
			etl_pg_raise(remote, NULL, sql);
	}
	res = PQgetResult(remote->conn);
	switch (PQresultStatus(res))
	{
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
		case PGRES_COPY_OUT:
			return res;
		default:
			if (res)
				etl_pg_raise(remote, res, sql);
			return NULL;
	}
}

/* etl_pg_finish takes the remaining answers. */
void
etl_pg_finish(EtlPgRemote *remote, const char *sql)
{
	PGresult *res;

	while ((res = etl_pg_result(remote, sql)) != NULL)
		PQclear(res);
}

/* etl_pg_describe prepares the query without a name and asks for its description. */
PGresult *
etl_pg_describe(EtlPgRemote *remote, const char *sql)
{
	PGresult *described = NULL;

	if (!PQsendPrepare(remote->conn, "", sql, 0, NULL))
		etl_pg_raise(remote, NULL, sql);
	etl_pg_finish(remote, sql);
	if (!PQsendDescribePrepared(remote->conn, ""))
		etl_pg_raise(remote, NULL, sql);
	described = etl_pg_result(remote, sql);
	while (PQisBusy(remote->conn) == 0)
	{
		PGresult *res = PQgetResult(remote->conn);

		if (res == NULL)
			break;
		PQclear(res);
	}
	return described;
}

/* etl_pg_copy_message looks first, and waits only when nothing is there. */
char *
etl_pg_copy_message(EtlPgRemote *remote, const char *sql, int *length)
{
	char *message;
	bool looked = false;

	while ((*length = PQgetCopyData(remote->conn, &message, true)) == 0)
	{
		if (looked)
			(void) wait_socket(remote, WL_SOCKET_READABLE, -1);
		CHECK_FOR_INTERRUPTS();
		if (!PQconsumeInput(remote->conn))
			etl_pg_raise(remote, NULL, sql);
		looked = true;
	}
	if (*length == -2)
		etl_pg_raise(remote, NULL, sql);
	return *length > 0 ? message : NULL;
}

/* hand_over passes the rows of an answer on and frees it. */
static int64
hand_over(PGresult *res, int n, EtlRemoteRow row, void *arg)
{
	int rows = PQntuples(res);

	PG_TRY();
	{
		char **value = palloc(sizeof(char *) * Max(n, 1));

		if (rows > 0 && PQnfields(res) < n)
			elog(ERROR, "the source answered with %d columns instead of %d", PQnfields(res), n);
		for (int i = 0; row && i < rows; i++)
		{
			for (int j = 0; j < n; j++)
				value[j] = PQgetisnull(res, i, j) ? NULL : PQgetvalue(res, i, j);
			row(value, arg);
		}
	}
	PG_FINALLY();
	{
		PQclear(res);
	}
	PG_END_TRY();
	return rows;
}

/* pg_query executes one or several statements, of which at most one returns rows. */
static int64
pg_query(EtlRemote *base, const char *sql, int n, EtlRemoteRow row, void *arg)
{
	EtlPgRemote *remote = (EtlPgRemote *) base;
	PGresult *res;
	int64 rows = 0;

	etl_pg_send(remote, sql);
	while ((res = etl_pg_result(remote, sql)) != NULL)
		rows += hand_over(res, n, row, arg);
	return rows;
}

/* pg_literal quotes; constants with backslashes are marked with E, which no setting changes. */
static char *
pg_literal(const EtlRemote *remote, const char *text)
{
	return quote_literal_cstr(text);
}

/* pg_close ends the connection. */
static void
pg_close(EtlRemote *base)
{
	MemoryContextDelete(base->context);
}

const EtlRemoteRoutine etl_pg_remote = {
	.kind = ETL_REMOTE_POSTGRES,
	.fdw = "postgres_fdw",
	.make = pg_make,
	.connect = pg_connect,
	.query = pg_query,
	.literal = pg_literal,
	.close = pg_close,
};
