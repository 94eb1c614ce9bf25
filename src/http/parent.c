/*
 * parent.c
 *		The rows of for_each. See parent.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "http/parent.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "net/url.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* Rows of the query that are taken at a time. */
#define FETCH_ROWS 10000

/* etl_http_escape appends a text; only letters, digits and -._~ stay as they are. */
void
etl_http_escape(StringInfo buffer, const char *text)
{
	appendStringInfoString(buffer, etl_url_encode(text, false));
}

/* etl_http_parent_value looks the column up. */
const char *
etl_http_parent_value(const EtlHttpParents *parents, int parent, const char *column)
{
	for (int i = 0; i < parents->column.n; i++)
		if (strcmp(parents->column.name[i], column) == 0)
			return parents->value[(size_t) parent * parents->column.n + i];
	return NULL;
}

/* etl_http_parent_fill replaces what stands in braces. */
char *
etl_http_parent_fill(const EtlHttpParents *parents, int parent, const char *text)
{
	StringInfoData filled;

	if (parents == NULL)
		return pstrdup(text);
	initStringInfo(&filled);
	while (*text != '\0')
	{
		const char *end = *text == '{' ? strchr(text, '}') : NULL;
		char *name = end != NULL ? pnstrdup(text + 1, end - text - 1) : NULL;
		const char *value = name != NULL ? etl_http_parent_value(parents, parent, name) : NULL;

		if (name != NULL && value == NULL)
			etl_http_refuse_option("for_each",
								   psprintf("The query has no column \"%s\", which path or params names.", name));
		if (value == NULL)
			appendStringInfoChar(&filled, *text++);
		else
		{
			etl_http_escape(&filled, value);
			text = end + 1;
		}
	}
	return filled.data;
}

/* owner_of returns the owner of a relation. */
static Oid
owner_of(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* take_columns notes the names of the query's columns. */
static void
take_columns(EtlHttpParents *parents, TupleDesc desc)
{
	parents->column.n = desc->natts;
	parents->column.name = palloc(sizeof(char *) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
		parents->column.name[i] = pstrdup(NameStr(TupleDescAttr(desc, i)->attname));
}

/* take_rows adds rows of the query; those with a NULL stand for nobody and are left out. */
static void
take_rows(EtlHttpParents *parents, size_t *room)
{
	int width = parents->column.n;

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		char **value;
		bool whole = true;

		if ((size_t) parents->n == *room)
		{
			*room *= 2;
			parents->value = repalloc_huge(parents->value, *room * width * sizeof(char *));
		}
		value = &parents->value[(size_t) parents->n * width];
		for (int i = 0; i < width && whole; i++)
		{
			char *text = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, i + 1);

			whole = text != NULL;
			value[i] = whole ? pstrdup(text) : NULL;
			if (whole)
				pfree(text);
		}
		parents->n += whole;
	}
	if (parents->n > ETL_HTTP_MOST_PARENTS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("for_each returns more than %d rows", ETL_HTTP_MOST_PARENTS),
						errdetail("Each would be a request."), errhint("Narrow the query.")));
}

/* compare_parents orders parents by their values, as bytes. */
static int
compare_parents(const void *one, const void *other, void *arg)
{
	char *const *a = one;
	char *const *b = other;

	for (int i = 0; i < *(int *) arg; i++)
	{
		int result = strcmp(a[i], b[i]);

		if (result != 0)
			return result;
	}
	return 0;
}

/* read_parents runs the query through a portal, so that it is never in memory as a whole twice. */
static void
read_parents(EtlHttpParents *parents, const char *query, MemoryContext context)
{
	size_t room = 1024;
	Portal portal;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	portal = SPI_cursor_parse_open(NULL, query, &(SPIParseOpenOptions){.read_only = true});
	do
	{
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		old = MemoryContextSwitchTo(context);
		if (parents->column.n == 0)
		{
			take_columns(parents, SPI_tuptable->tupdesc);
			parents->value = palloc(room * Max(parents->column.n, 1) * sizeof(char *));
		}
		take_rows(parents, &room);
		MemoryContextSwitchTo(old);
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0);
	SPI_cursor_close(portal);
	SPI_finish();
}

/* etl_http_parent_list runs the query as the owner of the foreign table. */
EtlHttpParents *
etl_http_parent_list(const EtlHttpTable *table, const EtlSource *source)
{
	EtlHttpParents *parents = palloc0(sizeof(EtlHttpParents));
	Oid user;
	int context;
	int level;

	if (table->for_each == NULL)
	{
		parents->n = 1;
		return parents;
	}
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner_of(source->oid), context | SECURITY_RESTRICTED_OPERATION);
	level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	read_parents(parents, table->for_each, CurrentMemoryContext);
	AtEOXact_GUC(false, level);
	SetUserIdAndSecContext(user, context);
	if (parents->n > 0)
		qsort_arg(parents->value, parents->n, parents->column.n * sizeof(char *), compare_parents, &parents->column.n);
	return parents;
}

/* etl_http_parent_key joins the values. */
char *
etl_http_parent_key(const EtlHttpParents *parents, int parent)
{
	StringInfoData key;

	if (parents->column.n == 0 || parent >= parents->n)
		return NULL;
	initStringInfo(&key);
	for (int i = 0; i < parents->column.n; i++)
	{
		if (i > 0)
			appendStringInfoChar(&key, '\x1f');
		appendStringInfoString(&key, parents->value[(size_t) parent * parents->column.n + i]);
	}
	return key.data;
}

/* etl_http_parent_find looks for the place where a parent is, or would be. */
int
etl_http_parent_find(const EtlHttpParents *parents, const char *key)
{
	char *rest = pstrdup(key);
	char **wanted = palloc0(sizeof(char *) * Max(parents->column.n, 1));
	int n = parents->column.n;
	int low = 0;
	int high = parents->n;

	for (int i = 0; i < n; i++)
	{
		char *end = strchr(rest, '\x1f');

		wanted[i] = rest;
		if (end != NULL)
			*end = '\0';
		rest = end != NULL ? end + 1 : rest + strlen(rest);
	}
	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (compare_parents(&parents->value[(size_t) middle * n], wanted, &n) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
