/*
 * request.c
 *		The request for a page. See request.h.
 *
 * Parameters go into the query string, or into the body of a POST; values are escaped or quoted there, and names were
 * checked when the options were set.
 */
#include "postgres.h"

#include "http/request.h"
#include "http/unpack.h"
#include "lib/stringinfo.h"
#include "net/endpoint.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

/* What is put together. */
typedef struct Draft
{
	const EtlHttpTable *table;
	StringInfoData url;
	StringInfoData body; /* members of the object; empty: none */
	bool has_query;
} Draft;

/* add_param adds a parameter where the table's requests have them. */
static void
add_param(Draft *draft, const char *name, const char *value, bool is_number)
{
	if (draft->table->is_post)
	{
		appendStringInfoString(&draft->body, draft->body.len > 0 ? "," : "");
		escape_json(&draft->body, name);
		appendStringInfoChar(&draft->body, ':');
		if (is_number)
			appendStringInfoString(&draft->body, value);
		else
			escape_json(&draft->body, value);
		return;
	}
	appendStringInfoChar(&draft->url, draft->has_query ? '&' : '?');
	draft->has_query = true;
	etl_http_escape(&draft->url, name);
	appendStringInfoChar(&draft->url, '=');
	etl_http_escape(&draft->url, value);
}

/* begin writes base_url, path and params. */
static void
begin(Draft *draft, const EtlHttpParents *parents, int parent)
{
	const EtlHttpTable *table = draft->table;
	int length = strlen(table->base_url);

	if (table->path != NULL && length > 0 && table->base_url[length - 1] == '/')
		length--;
	initStringInfo(&draft->url);
	initStringInfo(&draft->body);
	appendBinaryStringInfo(&draft->url, table->base_url, length);
	if (table->path != NULL)
		appendStringInfoString(&draft->url, etl_http_parent_fill(parents, parent, table->path));
	if (table->params != NULL)
	{
		appendStringInfo(&draft->url, "?%s", etl_http_parent_fill(parents, parent, table->params));
		draft->has_query = true;
	}
	if (!etl_endpoint_is_below(draft->url.data, table->base_url))
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR), errmsg("a path does not stay below base_url"),
						errdetail("It is \"%s\".", etl_http_request_show(table, draft->url.data)),
						errhint("Leave out \"..\" in path and in the values of for_each, and characters other than"
								" printable ASCII.")));
}

/* add_page adds the parameters that name the page. */
static void
add_page(Draft *draft, const EtlHttpPosition *position)
{
	const EtlHttpTable *table = draft->table;

	if (table->page_size_param != NULL)
		add_param(draft, table->page_size_param, psprintf("%d", table->page_size), true);
	if (table->paging == ETL_HTTP_PAGE || table->paging == ETL_HTTP_OFFSET)
		add_param(draft, table->number_param, psprintf(INT64_FORMAT, position->number), true);
	else if (table->paging == ETL_HTTP_CURSOR && position->cursor != NULL)
		add_param(draft, table->cursor_param, position->cursor, false);
}

/* body_of merges the parameters into the table's body. */
static char *
body_of(Draft *draft)
{
	Jsonb *params = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("{%s}", draft->body.data))));
	Jsonb *whole = DatumGetJsonbP(
		DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(draft->table->body), JsonbPGetDatum(params)));

	return JsonbToCString(NULL, &whole->root, VARSIZE(whole));
}

/* add_header adds a header of the request. */
static void
add_header(EtlTransferRequest *request, char *header)
{
	request->header.name[request->header.n++] = header;
}

/* etl_http_request_build fills in the request. */
void
etl_http_request_build(const EtlHttpTable *table, const EtlHttpBounds *bounds, const EtlHttpParents *parents,
					   const EtlHttpPosition *position, EtlTransferRequest *request)
{
	Draft draft = {.table = table};

	memset(request, 0, sizeof(*request));
	request->timeout = table->timeout;
	request->answer_limit = table->max_bytes;
	request->keep_connection = true;
	request->with_headers = true;
	/* Ours, those of the mapping, and two for auth and conditions. */
	request->header.name = palloc(sizeof(char *) * (table->header.n + 8));
	add_header(request, psprintf("Accept: %s", table->accept != NULL			? table->accept
											   : table->format == ETL_HTTP_JSON ? "application/json"
																				: "*/*"));
	add_header(request, ETL_HTTP_ACCEPT_ENCODING);
	if (table->paging >= ETL_HTTP_URL && position->cursor != NULL)
	{
		request->url = pstrdup(position->cursor);
		return;
	}
	begin(&draft, parents, position->parent);
	add_page(&draft, position);
	if (bounds->since != NULL)
		add_param(&draft, table->since_param, bounds->since, bounds->is_number);
	if (bounds->until != NULL)
		add_param(&draft, table->until_param, bounds->until, bounds->is_number);
	request->url = draft.url.data;
	if (table->is_post)
	{
		request->body = body_of(&draft);
		add_header(request, pstrdup("Content-Type: application/json"));
	}
}

/* etl_http_request_add adds a parameter to an address. */
char *
etl_http_request_add(const char *url, const char *name, const char *value)
{
	StringInfoData longer;

	initStringInfo(&longer);
	appendStringInfo(&longer, "%s%c", url, strchr(url, '?') != NULL ? '&' : '?');
	etl_http_escape(&longer, name);
	appendStringInfoChar(&longer, '=');
	etl_http_escape(&longer, value);
	return longer.data;
}

/* etl_http_request_remove leaves a parameter out. */
char *
etl_http_request_remove(const char *url, const char *name)
{
	const char *query = strchr(url, '?');
	StringInfoData rest;
	StringInfoData escaped;
	char separator = '?';

	if (query == NULL)
		return pstrdup(url);
	initStringInfo(&escaped);
	etl_http_escape(&escaped, name);
	initStringInfo(&rest);
	appendBinaryStringInfo(&rest, url, query - url);
	while (*query != '\0')
	{
		const char *param = query + 1;
		int length = strcspn(param, "&");
		int name_length = strcspn(param, "=&");
		bool same = (name_length == escaped.len && strncmp(param, escaped.data, escaped.len) == 0) ||
					(name_length == strlen(name) && strncmp(param, name, name_length) == 0);

		if (!same && length > 0)
		{
			appendStringInfo(&rest, "%c%.*s", separator, length, param);
			separator = '&';
		}
		query = param + length;
	}
	return rest.data;
}

/* etl_http_request_show replaces what is secret. */
char *
etl_http_request_show(const EtlHttpTable *table, const char *url)
{
	if (table->auth == ETL_HTTP_API_KEY && table->api_key_in_query)
		url = etl_http_request_remove(url, table->api_key_name);
	return etl_http_table_redact(table, url);
}
