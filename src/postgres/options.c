/*
 * options.c
 *		The parameters of a connection, as postgres_fdw takes them from server and user mapping. See options.h.
 *
 * postgres_fdw's validator has checked names and rights when the options were set. What libpq does not know (fetch_size,
 * use_remote_estimate, password_required) concerns the wrapper and is left out.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postgres/options.h"

/* is_parameter says whether libpq takes an option from a server or user mapping; its debug options it does not. */
static bool
is_parameter(const PQconninfoOption *known, const char *name)
{
	if (strcmp(name, "client_encoding") == 0 || strcmp(name, "fallback_application_name") == 0)
		return false;
	for (; known->keyword; known++)
		if (strcmp(known->keyword, name) == 0)
			return strchr(known->dispchar, 'D') == NULL;
	return false;
}

/* add adds a parameter. */
static void
add(EtlPgOptions *options, const char *keyword, const char *value)
{
	options->keyword[options->n] = pstrdup(keyword);
	options->value[options->n++] = pstrdup(value);
}

/* add_list adds the parameters of a list of options; later ones win. */
static void
add_list(EtlPgOptions *options, const PQconninfoOption *known, List *list)
{
	ListCell *cell;

	foreach (cell, list)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (is_parameter(known, option->defname))
			add(options, option->defname, defGetString(option));
	}
}

/* requires_password says whether the mapping leaves password_required at its default, true. */
static bool
requires_password(const UserMapping *mapping)
{
	ListCell *cell;

	foreach (cell, mapping->options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "password_required") == 0)
			return defGetBoolean(option);
	}
	return true;
}

/* etl_pg_options_value looks from the end: libpq lets the last one win. */
const char *
etl_pg_options_value(const EtlPgOptions *options, const char *keyword)
{
	for (int i = options->n - 1; i >= 0; i--)
		if (strcmp(options->keyword[i], keyword) == 0)
			return options->value[i];
	return NULL;
}

/* check_password refuses a user who would connect as the server's operating system user, as postgres_fdw does. */
static void
check_password(const EtlPgOptions *options)
{
	const char *password = etl_pg_options_value(options, "password");

	if (!options->password_required || (password && password[0] != '\0'))
		return;
	ereport(ERROR, (errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED), errmsg("password is required"),
					errdetail("Non-superusers must provide a password in the user mapping."),
					errhint("ALTER USER MAPPING ... OPTIONS (ADD password '...').")));
}

/* etl_pg_options_get collects. */
EtlPgOptions *
etl_pg_options_get(const EtlSource *source)
{
	ForeignServer *server = GetForeignServer(source->server);
	UserMapping *mapping = GetUserMapping(GetUserId(), source->server);
	EtlPgOptions *options = palloc0(sizeof(EtlPgOptions));
	PQconninfoOption *known = PQconndefaults();
	int n = list_length(server->options) + list_length(mapping->options) + 3;

	if (known == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	options->keyword = palloc0(sizeof(char *) * n);
	options->value = palloc0(sizeof(char *) * n);
	PG_TRY();
	{
		add_list(options, known, server->options);
		add_list(options, known, mapping->options);
	}
	PG_FINALLY();
	{
		PQconninfoFree(known);
	}
	PG_END_TRY();
	add(options, "fallback_application_name", "etl_ext");
	add(options, "client_encoding", GetDatabaseEncodingName());
	options->password_required = !superuser_arg(mapping->userid) && requires_password(mapping);
	check_password(options);
	return options;
}
