/*
 * table.c
 *		A foreign table of etl_http. See table.h.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "format/record.h"
#include "http/table.h"
#include "lib/stringinfo.h"
#include "net/endpoint.h"
#include "net/option.h"
#include "net/redirect.h"
#include "utils/builtins.h"

#define DEFAULT_MAX_BYTES (32 * 1024 * 1024)
#define DEFAULT_MAX_PAGES 100000
#define DEFAULT_MAX_TIME (6 * 3600 * 1000)
#define DEFAULT_PARALLEL 4

/* Secrets shorter than this are not searched for in messages: they would be found everywhere. */
#define SHORTEST_SECRET 4

/* etl_http_parse_rate reads a rate. */
bool
etl_http_parse_rate(const char *text, double *rate)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (text[0] < '1' || text[0] > '9' || n < 1 || n > 1000000)
		return false;
	if (strcmp(end, "/s") == 0)
		*rate = n;
	else if (strcmp(end, "/min") == 0)
		*rate = n / 60.0;
	else if (strcmp(end, "/h") == 0)
		*rate = n / 3600.0;
	else
		return false;
	return true;
}

/* etl_http_refuse_option raises the error for an option that does not fit. */
void
etl_http_refuse_option(const char *name, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("option \"%s\" does not fit", name),
					errdetail("%s", why), errhint("Change it, or leave it out.")));
}

/* number_of returns an option that is a number, or what it is when it is not given. */
static int
number_of(const List *options, const char *name, int otherwise)
{
	const char *text = etl_endpoint_option(options, name);

	return text != NULL ? atoi(text) : otherwise;
}

/* word_of returns the place of an option's value in a list of words; 0 if it is not given. */
static int
word_of(const List *options, const char *name, const char *const *words)
{
	const char *text = etl_endpoint_option(options, name);

	for (int i = 0; text != NULL && words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return 0;
}

/* read_server reads the options of the server. */
static void
read_server(EtlHttpTable *table, const List *options)
{
	static const char *const auth[] = {"none", "basic", "bearer", "api_key", "oauth2", NULL};
	const char *place = etl_endpoint_option(options, "api_key_in");
	const char *token_auth = etl_endpoint_option(options, "token_auth");
	const char *text;

	table->base_url = etl_endpoint_option(options, "base_url");
	table->auth = word_of(options, "auth", auth);
	table->api_key_name = etl_endpoint_option(options, "api_key_name");
	table->api_key_in_query = place != NULL && strcmp(place, "query") == 0;
	table->token_url = etl_endpoint_option(options, "token_url");
	table->token_by_body = token_auth != NULL && strcmp(token_auth, "body") == 0;
	table->scope = etl_endpoint_option(options, "scope");
	table->audience = etl_endpoint_option(options, "audience");
	table->accept = etl_endpoint_option(options, "accept");
	table->max_redirects = number_of(options, "max_redirects", ETL_REDIRECT_MOST);
	table->max_pages = number_of(options, "max_pages", DEFAULT_MAX_PAGES);
	text = etl_endpoint_option(options, "timeout");
	if (text == NULL || !etl_endpoint_parse_time(text, &table->timeout))
		table->timeout = ETL_ENDPOINT_TIMEOUT;
	text = etl_endpoint_option(options, "max_time");
	if (text == NULL || !etl_option_parse_wait(text, &table->max_time))
		table->max_time = DEFAULT_MAX_TIME;
	text = etl_endpoint_option(options, "max_bytes");
	if (text == NULL || !etl_option_parse_size(text, &table->max_bytes))
		table->max_bytes = DEFAULT_MAX_BYTES;
	text = etl_endpoint_option(options, "rate_limit");
	if (text != NULL)
		(void) etl_http_parse_rate(text, &table->rate);
}

/* read_paging reads the options of the table that are about pages. */
static void
read_paging(EtlHttpTable *table, const List *options)
{
	static const char *const paging[] = {"none", "page", "offset", "cursor", "next_url", "link_header", NULL};
	bool by_page;

	table->paging = word_of(options, "paging", paging);
	by_page = table->paging == ETL_HTTP_PAGE;
	table->cursor_param = etl_endpoint_option(options, "cursor_param");
	table->next = etl_endpoint_option(options, "next");
	table->total = etl_endpoint_option(options, "total");
	table->number_param = etl_endpoint_option(options, by_page ? "page_param" : "offset_param");
	if (table->number_param == NULL)
		table->number_param = by_page ? "page" : "offset";
	table->first_page = number_of(options, "first_page", 1);
	table->page_size = number_of(options, "page_size", 0);
	table->page_size_param = etl_endpoint_option(options, "page_size_param");
	table->parallel = number_of(options, "parallel", table->total && table->page_size > 0 ? DEFAULT_PARALLEL : 1);
	/* Offsets of pages that nobody has seen yet follow from their size. */
	if (table->paging == ETL_HTTP_OFFSET && table->page_size == 0)
		table->parallel = 1;
}

/* read_table reads the options of the table. */
static void
read_table(EtlHttpTable *table, List *options)
{
	static const char *const formats[] = {"json", "ndjson", "csv", NULL};
	const char *method = etl_endpoint_option(options, "method");
	const char *body = etl_endpoint_option(options, "body");
	const char *text = etl_endpoint_option(options, "max_bytes");
	EtlBadRow ignored;

	table->options = options;
	table->path = etl_endpoint_option(options, "path");
	table->params = etl_endpoint_option(options, "params");
	table->is_post = method != NULL && strcmp(method, "POST") == 0;
	if (table->is_post)
	{
		if (body == NULL)
			body = "{}";
		table->body = etl_record_parse(body, strlen(body), &ignored, NULL);
	}
	table->format = word_of(options, "format", formats);
	table->records = etl_endpoint_option(options, "records");
	table->error_path = etl_endpoint_option(options, "error_path");
	table->since_param = etl_endpoint_option(options, "since_param");
	table->until_param = etl_endpoint_option(options, "until_param");
	table->since_column = etl_endpoint_option(options, "since_column");
	table->since_format = etl_endpoint_option(options, "since_format");
	table->for_each = etl_endpoint_option(options, "for_each");
	table->max_pages = number_of(options, "max_pages", table->max_pages);
	if (text != NULL)
		(void) etl_option_parse_size(text, &table->max_bytes);
	read_paging(table, options);
}

/* add_header adds header_x_name 'value' as "x-name: value". */
static void
add_header(EtlHttpTable *table, const char *option, const char *value)
{
	char *name = pstrdup(option + strlen("header_"));

	for (char *c = name; *c != '\0'; c++)
		if (*c == '_')
			*c = '-';
	table->header.name[table->header.n++] = psprintf("%s: %s", name, value);
}

/* read_mapping reads the options of the user mapping, and keeps every value as a secret. */
static void
read_mapping(EtlHttpTable *table, const List *options)
{
	ListCell *lc;

	table->token = etl_endpoint_option(options, "token");
	table->user = etl_endpoint_option(options, "user");
	table->password = etl_endpoint_option(options, "password");
	table->api_key = etl_endpoint_option(options, "api_key");
	table->client_id = etl_endpoint_option(options, "client_id");
	table->client_secret = etl_endpoint_option(options, "client_secret");
	table->header.name = palloc(sizeof(char *) * (list_length(options) + 1));
	table->secret.name = palloc(sizeof(char *) * (list_length(options) + 1));
	foreach (lc, options)
	{
		DefElem *option = lfirst_node(DefElem, lc);
		char *value = defGetString(option);

		if (strncmp(option->defname, "header_", strlen("header_")) == 0)
			add_header(table, option->defname, value);
		if (strlen(value) >= SHORTEST_SECRET && strcmp(option->defname, "user") != 0)
			table->secret.name[table->secret.n++] = value;
	}
}

/* need refuses a user mapping that lacks what auth needs. */
static void
need(const char *value, const char *auth, const char *option, const char *server)
{
	if (value == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("the user mapping for server \"%s\" lacks %s", server, option),
						errdetail("The server's option auth is %s.", auth),
						errhint("CREATE or ALTER USER MAPPING FOR ... SERVER %s OPTIONS (%s '...').",
								quote_identifier(server), option)));
}

/* check_auth checks that the mapping has what the server wants; without auth what it has decides. */
static void
check_auth(EtlHttpTable *table, const List *server_options, const char *server)
{
	if (etl_endpoint_option(server_options, "auth") == NULL)
		table->auth = table->token ? ETL_HTTP_BEARER : table->user ? ETL_HTTP_BASIC : ETL_HTTP_NONE;
	switch (table->auth)
	{
		case ETL_HTTP_NONE:
			break;
		case ETL_HTTP_BASIC:
			need(table->user, "basic", "user", server);
			break;
		case ETL_HTTP_BEARER:
			need(table->token, "bearer", "token", server);
			break;
		case ETL_HTTP_API_KEY:
			need(table->api_key, "api_key", "api_key", server);
			break;
		case ETL_HTTP_OAUTH2:
			need(table->client_id, "oauth2", "client_id", server);
			need(table->client_secret, "oauth2", "client_secret", server);
			break;
	}
}

/* etl_http_table_look reads the options of table and server. */
EtlHttpTable *
etl_http_table_look(const EtlSource *source)
{
	EtlHttpTable *table = palloc0(sizeof(EtlHttpTable));

	table->server = source->server;
	read_server(table, GetForeignServer(source->server)->options);
	read_table(table, GetForeignTable(source->oid)->options);
	return table;
}

/* etl_http_table_read reads those of the user mapping, too. */
EtlHttpTable *
etl_http_table_read(const EtlSource *source, Oid user)
{
	EtlHttpTable *table = etl_http_table_look(source);
	ForeignServer *server = GetForeignServer(source->server);
	EtlEndpoint endpoint = {.server = source->server, .server_options = server->options};

	etl_endpoint_read_mapping(&endpoint, user);
	read_mapping(table, endpoint.mapping_options);
	check_auth(table, server->options, server->servername);
	return table;
}

/* etl_http_table_redact replaces secrets. */
char *
etl_http_table_redact(const EtlHttpTable *table, const char *text)
{
	char *result = pstrdup(text);

	for (int i = 0; i < table->secret.n; i++)
	{
		const char *secret = table->secret.name[i];
		const char *rest = result;
		const char *found = strstr(rest, secret);
		StringInfoData clean;

		if (found == NULL)
			continue;
		initStringInfo(&clean);
		for (; found != NULL; found = strstr(rest, secret))
		{
			appendBinaryStringInfo(&clean, rest, found - rest);
			appendStringInfoString(&clean, "***");
			rest = found + strlen(secret);
		}
		appendStringInfoString(&clean, rest);
		result = clean.data;
	}
	return result;
}
