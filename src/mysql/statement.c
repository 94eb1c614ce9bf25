/*
 * statement.c
 *		Statements on a connection to MySQL: sent, waited for, fetched row by row. See connection.h.
 *
 * Rows come unbuffered. The end of the rows is believed only when libmariadb reports no error with it: a connection that
 * breaks between two rows looks the same otherwise.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "mysql/connection.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

/* Longest wait without a look at interrupts, in ms. */
#define POLL_TIME 200

/* wait_events translates what libmariadb waits for. */
static int
wait_events(int status)
{
	int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT;

	if (status & (MYSQL_WAIT_READ | MYSQL_WAIT_EXCEPT))
		events |= WL_SOCKET_READABLE;
	if (status & MYSQL_WAIT_WRITE)
		events |= WL_SOCKET_WRITEABLE;
	return events;
}

/* etl_my_wait waits on socket and latch. */
int
etl_my_wait(EtlMyRemote *my, int status)
{
	long limit = status & MYSQL_WAIT_TIMEOUT ? (long) mysql_get_timeout_value_ms(my->mysql) : -1;
	instr_time start;
	instr_time now;

	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		int come;

		CHECK_FOR_INTERRUPTS();
		come = WaitLatchOrSocket(MyLatch, wait_events(status), mysql_get_socket(my->mysql),
								 limit >= 0 ? Min(limit, POLL_TIME) : POLL_TIME, PG_WAIT_EXTENSION);
		if (come & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (come & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
			return ((come & WL_SOCKET_READABLE) ? status & (MYSQL_WAIT_READ | MYSQL_WAIT_EXCEPT) : 0) |
				   ((come & WL_SOCKET_WRITEABLE) ? MYSQL_WAIT_WRITE : 0);
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		if (limit >= 0 && INSTR_TIME_GET_MILLISEC(now) >= limit)
			return MYSQL_WAIT_TIMEOUT;
	}
}

/* end_result frees what is left of the rows; all were fetched, so that it does not wait. */
static void
end_result(EtlMyRemote *my)
{
	MYSQL_RES *result = my->result;

	my->result = NULL;
	my->busy = false;
	if (result)
		mysql_free_result(result);
}

/* send_statement sends it and waits for the head of the answer. */
static void
send_statement(EtlMyRemote *my, const char *sql)
{
	int error = 0;
	int status;

	status = mysql_real_query_start(&error, my->mysql, sql, strlen(sql));
	while (status)
		status = mysql_real_query_cont(&error, my->mysql, etl_my_wait(my, status));
	if (error)
		etl_my_error(my, "query");
}

/* etl_my_start sends a statement with the connection's token behind it. */
void
etl_my_start(EtlMyRemote *my, const char *sql)
{
	char *marked;

	if (my->mysql == NULL || my->busy)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the connection to MySQL server \"%s\" is %s", my->base.server_name,
							   my->busy ? "busy with another statement" : "not open")));
	marked = psprintf("%s /* %s */", etl_my_to_utf8(sql), my->token);
	my->busy = true;
	send_statement(my, marked);
	pfree(marked);
	my->result = mysql_use_result(my->mysql);
	if (my->result)
		return;
	if (mysql_errno(my->mysql) != 0 || mysql_field_count(my->mysql) > 0)
		etl_my_error(my, "query");
	my->busy = false;
}

/* etl_my_fetch fetches a row. */
MYSQL_ROW
etl_my_fetch(EtlMyRemote *my)
{
	MYSQL_ROW row = NULL;
	int status;

	if (my->result == NULL)
		return NULL;
	status = mysql_fetch_row_start(&row, my->result);
	while (status)
		status = mysql_fetch_row_cont(&row, my->result, etl_my_wait(my, status));
	if (row)
		return row;
	if (mysql_errno(my->mysql) != 0)
		etl_my_error(my, "read from");
	end_result(my);
	return NULL;
}

/* etl_my_execute leaves no rows behind. */
void
etl_my_execute(EtlMyRemote *my, const char *sql)
{
	etl_my_start(my, sql);
	while (etl_my_fetch(my))
		CHECK_FOR_INTERRUPTS();
}
