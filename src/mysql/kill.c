/*
 * kill.c
 *		Ends what a server still does for a connection that is given up.
 *
 * A server notices that its client has gone only when it writes to it: a statement that sorts, waits for a lock or
 * counts would go on. It is found by its token and not only by the number of its connection, because a second connection
 * through a proxy may reach another server.
 *
 * Called while an error is on its way or the process ends: nothing is raised and nothing is allocated from PostgreSQL.
 */
#include "postgres.h"

#include <poll.h>
#include <time.h>

#include "mysql/connection.h"

/* Most that all of it may take, in ms. */
#define PATIENCE 2000

typedef struct Deadline
{
	MYSQL *mysql;
	int64 end; /* ms of the monotonic clock */
} Deadline;

/* now_ms reads the monotonic clock. */
static int64
now_ms(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* wait_for waits for the socket; 0: the time is over. */
static int
wait_for(const Deadline *deadline, int status)
{
	struct pollfd fd = {.fd = mysql_get_socket(deadline->mysql)};
	int64 left;

	if (status & MYSQL_WAIT_READ)
		fd.events |= POLLIN;
	if (status & MYSQL_WAIT_WRITE)
		fd.events |= POLLOUT;
	if (status & MYSQL_WAIT_EXCEPT)
		fd.events |= POLLPRI;
	while ((left = deadline->end - now_ms()) > 0)
	{
		int rc = poll(&fd, 1, (int) left);

		if (rc > 0)
			return ((fd.revents & POLLOUT) ? status & MYSQL_WAIT_WRITE : 0) |
				   ((fd.revents & ~POLLOUT) ? status & (MYSQL_WAIT_READ | MYSQL_WAIT_EXCEPT) : 0);
		if (rc < 0 && errno != EINTR)
			break;
	}
	return 0;
}

/* connect_within connects; false: it could not, or the time is over. */
static bool
connect_within(const Deadline *deadline, const EtlMyOptions *options)
{
	MYSQL *done = NULL;
	int status = mysql_real_connect_start(&done, deadline->mysql, options->host, options->user, options->password, NULL,
										  options->port, NULL, 0);

	while (status)
	{
		int come = wait_for(deadline, status);

		if (come == 0)
			return false;
		status = mysql_real_connect_cont(&done, deadline->mysql, come);
	}
	return done != NULL;
}

/* execute_within executes a statement; false: it could not, or the time is over. */
static bool
execute_within(const Deadline *deadline, const char *sql)
{
	int error = 0;
	int status = mysql_real_query_start(&error, deadline->mysql, sql, strlen(sql));

	while (status)
	{
		int come = wait_for(deadline, status);

		if (come == 0)
			return false;
		status = mysql_real_query_cont(&error, deadline->mysql, come);
	}
	return error == 0;
}

/* is_there says whether the server that was reached is the one with the statement. */
static bool
is_there(const Deadline *deadline, const EtlMyRemote *my)
{
	char sql[256];
	MYSQL_RES *result;
	bool found;

	snprintf(
		sql, sizeof(sql),
		"SELECT 1 FROM information_schema.processlist WHERE id = %lu AND id <> connection_id() AND info LIKE '%%%s%%'",
		mysql_thread_id(my->mysql), my->token);
	if (!execute_within(deadline, sql))
		return false;
	result = mysql_store_result(deadline->mysql);
	found = result && mysql_num_rows(result) > 0;
	if (result)
		mysql_free_result(result);
	return found;
}

/* etl_my_kill makes a connection of its own. */
void
etl_my_kill(const EtlMyRemote *my)
{
	Deadline deadline = {etl_my_options_handle(&my->options, PATIENCE / 1000), now_ms() + PATIENCE};
	char sql[64];

	if (deadline.mysql == NULL)
		return;
	snprintf(sql, sizeof(sql), "KILL QUERY %lu", mysql_thread_id(my->mysql));
	if (connect_within(&deadline, &my->options) && is_there(&deadline, my))
		(void) execute_within(&deadline, sql);
	mysql_close(deadline.mysql);
}
