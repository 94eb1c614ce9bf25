/*
 * options.c
 *		What mysql_fdw knows about a server, as options of libmariadb.
 *
 * Known and not used, because reading has to be exact: reconnect (a new connection would have lost the snapshot),
 * character_set (always utf8mb4), fetch_size, max_blob_size and use_remote_estimate (there is no such buffer).
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "mysql/connection.h"

#define DEFAULT_HOST "127.0.0.1"
#define DEFAULT_PORT 3306

/* Stack of libmariadb's functions while they wait: a TLS handshake needs more than its default of 64 KB may hold. */
#define STACK_BYTES (256 * 1024)

/* A longest value is the server's max_allowed_packet, of at most 1 GB. */
#define MAX_PACKET_BYTES (1024UL * 1024 * 1024)

/* take_text sets the option of that name; false: there is none. */
static bool
take_text(EtlMyOptions *options, const char *name, char *value)
{
	struct
	{
		const char *name;
		char **field;
	} known[] = {
		{"host", &options->host},
		{"username", &options->user},
		{"password", &options->password},
		{"init_command", &options->init_command},
		{"dbname", &options->database},
		{"sql_mode", &options->sql_mode},
		{"ssl_key", &options->ssl_key},
		{"ssl_cert", &options->ssl_cert},
		{"ssl_ca", &options->ssl_ca},
		{"ssl_capath", &options->ssl_capath},
		{"ssl_cipher", &options->ssl_cipher},
	};

	for (int i = 0; i < lengthof(known); i++)
		if (strcmp(known[i].name, name) == 0)
		{
			*known[i].field = pstrdup(value);
			return true;
		}
	return false;
}

/* take_all sets the options of one catalog entry. */
static void
take_all(EtlMyOptions *options, List *list)
{
	ListCell *cell;

	foreach (cell, list)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strncmp(option->defname, "ssl_", 4) == 0)
			options->wants_tls = true;
		if (strcmp(option->defname, "port") == 0)
			options->port = atoi(defGetString(option));
		else if (strcmp(option->defname, "secure_auth") == 0)
			options->secure_auth = defGetBoolean(option);
		else
			(void) take_text(options, option->defname, defGetString(option));
	}
}

/* etl_my_options_read looks at server, user mapping and table. */
void
etl_my_options_read(EtlMyOptions *options, const EtlSource *source)
{
	memset(options, 0, sizeof(*options));
	options->host = DEFAULT_HOST;
	options->port = DEFAULT_PORT;
	options->secure_auth = true;
	take_all(options, GetForeignServer(source->server)->options);
	take_all(options, GetUserMapping(GetUserId(), source->server)->options);
	take_all(options, GetForeignTable(source->oid)->options);
}

/* etl_my_options_handle makes a handle. TLS is used where the server has it, and required where the options speak of it. */
MYSQL *
etl_my_options_handle(const EtlMyOptions *options, unsigned int timeout)
{
	MYSQL *mysql = mysql_init(NULL);
	my_bool no = 0;
	my_bool yes = 1;
	my_bool secure = options->secure_auth;
	unsigned int local_infile = 0;
	unsigned long packet = MAX_PACKET_BYTES;
	size_t stack = STACK_BYTES;

	if (mysql == NULL)
		return NULL;
	(void) mysql_options(mysql, MYSQL_OPT_NONBLOCK, &stack);
	(void) mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	(void) mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &local_infile);
	(void) mysql_options(mysql, MYSQL_OPT_RECONNECT, &no);
	(void) mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
	(void) mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	(void) mysql_options(mysql, MYSQL_SECURE_AUTH, &secure);
	(void) mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "etl_ext");
	(void) mysql_ssl_set(mysql, options->ssl_key, options->ssl_cert, options->ssl_ca, options->ssl_capath,
						 options->ssl_cipher);
	if (options->wants_tls)
		(void) mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
	return mysql;
}
