/*
 * remote.c
 *		Which kind of connection serves a source, and what both dialects share. See remote.h.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "source/remote.h"

static const EtlRemoteRoutine *const routine[] = {
	&etl_pg_remote,
#ifdef ETL_WITH_MYSQL
	&etl_my_remote,
#endif
};

/* Where the values of etl_remote_row go. */
typedef struct OneRow
{
	int n;
	char **value;
	MemoryContext context;
} OneRow;

/* etl_remote_make asks the routine for the source's wrapper. */
EtlRemote *
etl_remote_make(const EtlSource *source, const char **why_not)
{
	if (source->fdw == NULL)
	{
		*why_not = "the source is not a foreign table";
		return NULL;
	}
	for (int i = 0; i < lengthof(routine); i++)
		if (strcmp(routine[i]->fdw, source->fdw) == 0 && routine[i]->make)
			return routine[i]->make(source);
	*why_not = psprintf("there is no reader of its own for tables of %s", source->fdw);
	return NULL;
}

/* etl_remote_connect connects. */
void
etl_remote_connect(EtlRemote *remote)
{
	remote->routine->connect(remote);
}

/* etl_remote_query executes one statement. */
int64
etl_remote_query(EtlRemote *remote, const char *sql, int n, EtlRemoteRow row, void *arg)
{
	return remote->routine->query(remote, sql, n, row, arg);
}

/* keep_row copies the first row. */
static void
keep_row(char *const *value, void *arg)
{
	OneRow *row = arg;
	MemoryContext old;

	if (row->value)
		return;
	old = MemoryContextSwitchTo(row->context);
	row->value = palloc0(sizeof(char *) * Max(row->n, 1));
	for (int i = 0; i < row->n; i++)
		row->value[i] = value[i] ? pstrdup(value[i]) : NULL;
	MemoryContextSwitchTo(old);
}

/* etl_remote_row returns the values of the only row. */
char **
etl_remote_row(EtlRemote *remote, const char *sql, int n)
{
	OneRow row = {n, NULL, CurrentMemoryContext};

	(void) etl_remote_query(remote, sql, n, keep_row, &row);
	return row.value;
}

/* etl_remote_literal returns a string constant. */
char *
etl_remote_literal(const EtlRemote *remote, const char *text)
{
	return remote->routine->literal(remote, text);
}

/* etl_remote_identifier always quotes: what is a keyword differs from version to version. */
char *
etl_remote_identifier(const EtlRemote *remote, const char *name)
{
	char quote = remote->routine->kind == ETL_REMOTE_MYSQL ? '`' : '"';
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, quote);
	for (const char *c = name; *c; c++)
	{
		if (*c == quote)
			appendStringInfoChar(&text, quote);
		appendStringInfoChar(&text, *c);
	}
	appendStringInfoChar(&text, quote);
	return text.data;
}

/* etl_remote_close ends the connection. */
void
etl_remote_close(EtlRemote *remote)
{
	if (remote)
		remote->routine->close(remote);
}
