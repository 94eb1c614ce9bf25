/*
 * connection.c
 *		Connections to MySQL and MariaDB for the tables of mysql_fdw. See connection.h and source/remote.h.
 *
 * The session reads exactly: times in UTC, text as utf8mb4, no limit on rows that somebody has configured, and only
 * reading. sql_mode is what mysql_fdw sets (its option, else ANSI_QUOTES), because its queries are the base of ours.
 */
#include "postgres.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "mysql/connection.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Seconds until a server that does not answer counts as unreachable. */
#define CONNECT_SECONDS 60

/* A silent peer is found dead after a minute and a half. */
#define KEEPALIVE_IDLE 60
#define KEEPALIVE_INTERVAL 10
#define KEEPALIVE_COUNT 3

/* Connections of this process, for its end. */
static dlist_head connections = DLIST_STATIC_INIT(connections);

/*
 * hang_up gives a connection back, whatever state it is in. The socket is shut down first, so that libmariadb finds
 * nothing more to wait for when it wants to read the rest of the rows. Raises nothing.
 */
static void
hang_up(EtlMyRemote *my)
{
	MYSQL *mysql = my->mysql;

	if (mysql == NULL)
		return;
	if (my->busy && mysql_thread_id(mysql) != 0)
		etl_my_kill(my);
	if (my->busy && mysql_get_socket(mysql) >= 0)
		(void) shutdown(mysql_get_socket(mysql), SHUT_RDWR);
	if (my->result)
		mysql_free_result(my->result);
	my->result = NULL;
	my->mysql = NULL;
	my->busy = false;
	my->in_snapshot = false;
	dlist_delete(&my->node);
	mysql_close(mysql);
	if (my->has_fd)
		ReleaseExternalFD();
	my->has_fd = false;
}

/* end_of_context hangs up when nobody has closed the connection. */
static void
end_of_context(void *arg)
{
	hang_up(arg);
}

/* end_of_process kills at the server what an end by a signal leaves behind. */
static void
end_of_process(int code, Datum arg)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &connections)
	{
		hang_up(dlist_container(EtlMyRemote, node, it.cur));
	}
}

/* my_make reads the options. */
static EtlRemote *
my_make(const EtlSource *source)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "etl mysql connection", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	EtlMyRemote *my = palloc0(sizeof(EtlMyRemote));

	my->base.routine = &etl_my_remote;
	my->base.context = context;
	my->base.server_name = pstrdup(source->server_name);
	etl_my_options_read(&my->options, source);
	my->token = psprintf("etl_ext %d-%llx", MyProcPid, (unsigned long long) GetCurrentTimestamp());
	my->callback.func = end_of_context;
	my->callback.arg = my;
	MemoryContextRegisterResetCallback(context, &my->callback);
	MemoryContextSwitchTo(old);
	return &my->base;
}

/* make_handle makes the handle and accounts for its descriptor. */
static void
make_handle(EtlMyRemote *my)
{
	static bool registered = false;

	if (!registered)
		before_shmem_exit(end_of_process, (Datum) 0);
	registered = true;
	if (!AcquireExternalFD())
		ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						errmsg("could not connect to MySQL server \"%s\"", my->base.server_name),
						errdetail("There are too many open files."),
						errhint("Raise the server's max_files_per_process and/or \"ulimit -n\" limits.")));
	my->mysql = etl_my_options_handle(&my->options, CONNECT_SECONDS);
	if (my->mysql == NULL)
	{
		ReleaseExternalFD();
		etl_my_error(my, "connect to");
	}
	my->has_fd = true;
	dlist_push_tail(&connections, &my->node);
}

/* keep_alive lets the kernel find a peer that has gone without a word. */
static void
keep_alive(int socket)
{
	int on = 1;
	int idle = KEEPALIVE_IDLE;
	int interval = KEEPALIVE_INTERVAL;
	int count = KEEPALIVE_COUNT;

	(void) setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void) setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void) setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void) setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* set_up_session: the author's init_command comes first, so that it cannot undo what reading needs. */
static void
set_up_session(EtlMyRemote *my)
{
	const char *mode = my->options.sql_mode ? my->options.sql_mode : "ANSI_QUOTES";
	char *literal = etl_remote_literal(&my->base, mode);

	if (my->options.init_command)
		etl_my_execute(my, my->options.init_command);
	etl_my_execute(my, psprintf("SET NAMES utf8mb4, SESSION sql_mode = %s, time_zone = '+00:00', autocommit = 1,"
								" sql_select_limit = 18446744073709551615, max_sort_length = 8192,"
								" net_write_timeout = 86400, net_read_timeout = 86400, wait_timeout = 86400,"
								" optimizer_switch = 'derived_merge=on'",
								literal));
	if (my->is_mariadb)
		etl_my_execute(my, "SET SESSION idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0");
	etl_my_execute(my, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
	etl_my_execute(my, "SET SESSION TRANSACTION READ ONLY");
}

/* check_tls refuses a connection in clear text where the options ask for another. libmariadb would accept it. */
static void
check_tls(const EtlMyRemote *my)
{
	if (!my->options.wants_tls || mysql_get_ssl_cipher(my->mysql) != NULL)
		return;
	ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					errmsg("MySQL server \"%s\" does not offer TLS", my->base.server_name),
					errdetail("The foreign server has ssl options, so that the connection must be encrypted."),
					errhint("Set up TLS at the source, or drop the ssl options of the foreign server.")));
}

/* my_connect connects and sets up the session. */
static void
my_connect(EtlRemote *remote)
{
	EtlMyRemote *my = (EtlMyRemote *) remote;
	const EtlMyOptions *options = &my->options;
	MYSQL *done = NULL;
	int status;

	if (my->mysql)
		return;
	make_handle(my);
	status = mysql_real_connect_start(&done, my->mysql, options->host, options->user, options->password,
									  options->database, options->port, NULL, 0);
	while (status)
		status = mysql_real_connect_cont(&done, my->mysql, etl_my_wait(my, status));
	if (done == NULL)
		etl_my_error(my, "connect to");
	check_tls(my);
	keep_alive(mysql_get_socket(my->mysql));
	my->is_mariadb = mariadb_connection(my->mysql);
	set_up_session(my);
}

/* etl_my_begin_snapshot: statements from here on see one state of all InnoDB tables. */
void
etl_my_begin_snapshot(EtlMyRemote *my)
{
	if (my->in_snapshot)
		return;
	etl_my_execute(my, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
	my->in_snapshot = true;
}

/* my_query hands over the rows. */
static int64
my_query(EtlRemote *remote, const char *sql, int n, EtlRemoteRow row, void *arg)
{
	EtlMyRemote *my = (EtlMyRemote *) remote;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "etl mysql answer", ALLOCSET_SMALL_SIZES);
	char **value = palloc0(sizeof(char *) * Max(n, 1));
	MYSQL_ROW fetched;
	int64 rows = 0;

	etl_my_start(my, sql);
	while ((fetched = etl_my_fetch(my)) != NULL)
	{
		unsigned long *length = mysql_fetch_lengths(my->result);
		int columns = mysql_num_fields(my->result);
		MemoryContext old = MemoryContextSwitchTo(scratch);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			value[i] = i < columns && fetched[i] ? etl_my_from_utf8(fetched[i], length[i]) : NULL;
		MemoryContextSwitchTo(old);
		row(value, arg);
		MemoryContextReset(scratch);
		rows++;
	}
	MemoryContextDelete(scratch);
	pfree(value);
	return rows;
}

/* my_literal doubles what would end the constant; backslashes too, unless sql_mode says that they are ordinary. */
static char *
my_literal(const EtlRemote *remote, const char *text)
{
	const EtlMyRemote *my = (const EtlMyRemote *) remote;
	bool ordinary = my->mysql && (my->mysql->server_status & SERVER_STATUS_NO_BACKSLASH_ESCAPES) != 0;
	StringInfoData literal;

	initStringInfo(&literal);
	appendStringInfoChar(&literal, '\'');
	for (const char *c = text; *c; c++)
	{
		if (*c == '\'' || (*c == '\\' && !ordinary))
			appendStringInfoChar(&literal, *c);
		appendStringInfoChar(&literal, *c);
	}
	appendStringInfoChar(&literal, '\'');
	return literal.data;
}

/* my_close hangs up and frees everything. */
static void
my_close(EtlRemote *remote)
{
	hang_up((EtlMyRemote *) remote);
	MemoryContextDelete(remote->context);
}

const EtlRemoteRoutine etl_my_remote = {
	.kind = ETL_REMOTE_MYSQL,
	.fdw = "mysql_fdw",
	.make = my_make,
	.connect = my_connect,
	.query = my_query,
	.literal = my_literal,
	.close = my_close,
};
