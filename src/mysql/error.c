/*
 * error.c
 *		Errors of MySQL, MariaDB and libmariadb as errors of PostgreSQL.
 *
 * What may pass has to be recognised as such, because attempts are repeated only then: a lost connection is class 08,
 * whatever the number that tells of it.
 */
#include "postgres.h"

#include <errmsg.h>
#include <mysqld_error.h>

#include "mysql/connection.h"

typedef struct Known
{
	unsigned int number;
	int code;
} Known;

static const Known known[] = {
	{CR_OUT_OF_MEMORY, ERRCODE_OUT_OF_MEMORY},
	{CR_CONNECTION_ERROR, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION},
	{CR_CONN_HOST_ERROR, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION},
	{CR_UNKNOWN_HOST, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION},
	{CR_SSL_CONNECTION_ERROR, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION},
	{CR_SERVER_GONE_ERROR, ERRCODE_CONNECTION_FAILURE},
	{CR_SERVER_LOST, ERRCODE_CONNECTION_FAILURE},
	{CR_SERVER_LOST_EXTENDED, ERRCODE_CONNECTION_FAILURE},
	{CR_SERVER_HANDSHAKE_ERR, ERRCODE_CONNECTION_FAILURE},
	{CR_MALFORMED_PACKET, ERRCODE_CONNECTION_FAILURE},
	{CR_COMMANDS_OUT_OF_SYNC, ERRCODE_CONNECTION_FAILURE},
	{CR_UNKNOWN_ERROR, ERRCODE_CONNECTION_FAILURE},
	{CR_ERR_NET_READ, ERRCODE_CONNECTION_FAILURE},
	{CR_ERR_NET_WRITE, ERRCODE_CONNECTION_FAILURE},
	{CR_AUTH_PLUGIN_CANNOT_LOAD, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION},
	{CR_AUTH_PLUGIN_ERR, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION},
	{CR_SECURE_AUTH, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION},
	{ER_CON_COUNT_ERROR, ERRCODE_TOO_MANY_CONNECTIONS},
	{ER_TOO_MANY_USER_CONNECTIONS, ERRCODE_TOO_MANY_CONNECTIONS},
	{ER_USER_LIMIT_REACHED, ERRCODE_TOO_MANY_CONNECTIONS},
	{ER_SERVER_SHUTDOWN, ERRCODE_CONNECTION_FAILURE},
	{ER_NORMAL_SHUTDOWN, ERRCODE_CONNECTION_FAILURE},
	{ER_CONNECTION_KILLED, ERRCODE_CONNECTION_FAILURE},
	{4031, ERRCODE_CONNECTION_FAILURE}, /* ER_CLIENT_INTERACTION_TIMEOUT of MySQL 8 */
	{ER_ACCESS_DENIED_ERROR, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION},
	{ER_HOST_IS_BLOCKED, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION},
	{ER_HOST_NOT_PRIVILEGED, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION},
	{ER_DBACCESS_DENIED_ERROR, ERRCODE_INSUFFICIENT_PRIVILEGE},
	{ER_TABLEACCESS_DENIED_ERROR, ERRCODE_INSUFFICIENT_PRIVILEGE},
	{ER_COLUMNACCESS_DENIED_ERROR, ERRCODE_INSUFFICIENT_PRIVILEGE},
	{ER_SPECIFIC_ACCESS_DENIED_ERROR, ERRCODE_INSUFFICIENT_PRIVILEGE},
	{ER_BAD_DB_ERROR, ERRCODE_UNDEFINED_DATABASE},
	{ER_NO_SUCH_TABLE, ERRCODE_UNDEFINED_TABLE},
	{ER_BAD_FIELD_ERROR, ERRCODE_UNDEFINED_COLUMN},
	{ER_PARSE_ERROR, ERRCODE_SYNTAX_ERROR},
	{ER_QUERY_INTERRUPTED, ERRCODE_QUERY_CANCELED},
	{ER_STATEMENT_TIMEOUT, ERRCODE_QUERY_CANCELED},
	{3024, ERRCODE_QUERY_CANCELED}, /* ER_QUERY_TIMEOUT of MySQL */
	{ER_LOCK_WAIT_TIMEOUT, ERRCODE_LOCK_NOT_AVAILABLE},
	{ER_LOCK_DEADLOCK, ERRCODE_T_R_DEADLOCK_DETECTED},
	{ER_TABLE_DEF_CHANGED, ERRCODE_T_R_SERIALIZATION_FAILURE},
	{ER_DISK_FULL, ERRCODE_DISK_FULL},
};

/* etl_my_error_code looks for the number, then for a class that both sides share. */
int
etl_my_error_code(unsigned int number, const char *sqlstate, bool connecting)
{
	static const char *const shared[] = {"08", "22", "23", "40"};

	for (int i = 0; i < lengthof(known); i++)
		if (known[i].number == number)
			return known[i].code;
	for (int i = 0; i < lengthof(shared); i++)
		if (strncmp(sqlstate, shared[i], 2) == 0 && strlen(sqlstate) == 5)
			return MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
	return connecting ? ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION : ERRCODE_FDW_ERROR;
}

/* hint_for says what can be done about an error. */
static const char *
hint_for(int code)
{
	switch (code)
	{
		case ERRCODE_CONNECTION_FAILURE:
			return "Nothing of an unfinished chunk was kept; the next attempt goes on from the last committed one.";
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			return "See username and password of the user mapping, and from where the server lets that user in.";
		case ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION:
			return "See host, port and the ssl options of the foreign server.";
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
			return "The table was altered while it was read; the next attempt reads it as it is now.";
		default:
			return NULL;
	}
}

/* etl_my_error raises the error of the handle. */
void
etl_my_error(EtlMyRemote *my, const char *what)
{
	unsigned int number = my->mysql ? mysql_errno(my->mysql) : CR_OUT_OF_MEMORY;
	const char *text = my->mysql ? pstrdup(mysql_error(my->mysql)) : "out of memory";
	const char *state = my->mysql ? mysql_sqlstate(my->mysql) : "HY001";
	bool connecting = my->mysql == NULL || mysql_thread_id(my->mysql) == 0;
	int code = etl_my_error_code(number, state, connecting);
	const char *hint = hint_for(code);

	ereport(ERROR, (errcode(code), errmsg("could not %s MySQL server \"%s\": %s", what, my->base.server_name, text),
					errdetail("Error %u (%s) of MySQL.", number, state), hint ? errhint("%s", hint) : 0));
}
