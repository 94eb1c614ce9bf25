/*
 * options.c
 *		The options of foreign data wrapper etl_http: what may be set, and what goes together. table.c reads them.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "format/record.h"
#include "http/table.h"
#include "net/endpoint.h"
#include "net/option.h"
#include "net/redirect.h"

PG_FUNCTION_INFO_V1(etl_http_validator);

#define TIME_HINT "It is a time with its unit between 100 ms and 10 min, such as 30 s."
#define SIZE_HINT "It is a size with its unit, such as 32 MB, of at most 256 MB."
#define COUNT_HINT "It is a number from 1 on."
#define PATH_HINT "It is a jsonpath that begins with $, such as $.meta.next."
#define WORD_HINT "It is a name, such as page_token."

/* Words that options take. */
static const char *const auth_words[] = {"none", "basic", "bearer", "api_key", "oauth2", NULL};
static const char *const place_words[] = {"header", "query", NULL};
static const char *const client_words[] = {"basic", "body", NULL};
static const char *const format_words[] = {"json", "ndjson", "csv", NULL};
static const char *const method_words[] = {"GET", "POST", NULL};
static const char *const paging_words[] = {"none", "page", "offset", "cursor", "next_url", "link_header", NULL};
static const char *const header_words[] = {"true", "false", "match", NULL};

/* is_auth, is_place and so on say whether a value is one of the words. */
static bool
is_auth(const char *value)
{
	return etl_option_is_one_of(value, auth_words);
}

static bool
is_place(const char *value)
{
	return etl_option_is_one_of(value, place_words);
}

static bool
is_client(const char *value)
{
	return etl_option_is_one_of(value, client_words);
}

static bool
is_format(const char *value)
{
	return etl_option_is_one_of(value, format_words);
}

static bool
is_method(const char *value)
{
	return etl_option_is_one_of(value, method_words);
}

static bool
is_paging(const char *value)
{
	return etl_option_is_one_of(value, paging_words);
}

static bool
is_header(const char *value)
{
	return etl_option_is_one_of(value, header_words);
}

/* is_url accepts a whole address; that it begins with base_url is checked when it is used. */
static bool
is_url(const char *value)
{
	return strncmp(value, "https://", 8) == 0 || strncmp(value, "http://", 7) == 0;
}

/* is_token_url accepts an address without a user in it. */
static bool
is_token_url(const char *value)
{
	return is_url(value) && etl_redirect_resolve(value, value) != NULL;
}

/* is_rate accepts '10/s'. */
static bool
is_rate(const char *value)
{
	double rate;

	return etl_http_parse_rate(value, &rate);
}

/* is_size accepts a size that fits into memory. */
static bool
is_size(const char *value)
{
	int64 bytes;

	return etl_option_parse_size(value, &bytes) && bytes <= ETL_HTTP_MOST_BYTES;
}

/* is_word accepts a name of a parameter or a header. */
static bool
is_word(const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
		if (!isalnum((unsigned char) *c) && strchr("-_.[]$:", *c) == NULL)
			return false;
	return value[0] != '\0' && strlen(value) <= 128;
}

/* is_number accepts 0, too. */
static bool
is_number(const char *value)
{
	return strcmp(value, "0") == 0 || etl_option_is_count(value);
}

/* is_parallel accepts a number of requests at a time. */
static bool
is_parallel(const char *value)
{
	return etl_option_is_count(value) && atoi(value) <= ETL_HTTP_MOST_PARALLEL;
}

/* is_redirects accepts a number of redirections. */
static bool
is_redirects(const char *value)
{
	return is_number(value) && atoi(value) <= 20;
}

/* is_path accepts what comes behind base_url. */
static bool
is_path(const char *value)
{
	return value[0] == '/' && strpbrk(value, "?#\\ ") == NULL;
}

/* is_params accepts a query string. */
static bool
is_params(const char *value)
{
	return strpbrk(value, "?# \\") == NULL && strchr(value, '=') != NULL;
}

/* is_body accepts a JSON object. */
static bool
is_body(const char *value)
{
	EtlBadRow bad = {0};
	Jsonb *body = etl_record_parse(value, strlen(value), &bad, NULL);

	return body != NULL && JB_ROOT_IS_OBJECT(body);
}

/* is_char accepts one character of one byte. */
static bool
is_char(const char *value)
{
	return strlen(value) == 1 || strcmp(value, "\\t") == 0;
}

static const EtlOption http_option[] = {
	{"base_url", ForeignServerRelationId, true, etl_option_is_base_url,
	 "It is like https://hooks.example.com/path: a host, perhaps a port and a path, without user, \"?\" and \"#\".",
	 true},
	{"timeout", ForeignServerRelationId, false, etl_option_is_time, TIME_HINT},
	{"auth", ForeignServerRelationId, false, is_auth, "It is one of: none, basic, bearer, api_key, oauth2."},
	{"api_key_name", ForeignServerRelationId, false, is_word, "It is the name of a header or parameter."},
	{"api_key_in", ForeignServerRelationId, false, is_place, "It is header or query."},
	{"token_url", ForeignServerRelationId, false, is_token_url, "It is a whole address, without a user in it.", true},
	{"token_auth", ForeignServerRelationId, false, is_client, "It is basic or body."},
	{"scope", ForeignServerRelationId, false, NULL, NULL},
	{"audience", ForeignServerRelationId, false, NULL, NULL},
	{"accept", ForeignServerRelationId, false, NULL, NULL},
	{"rate_limit", ForeignServerRelationId, false, is_rate, "It is like 10/s, 600/min or 1000/h."},
	{"max_bytes", ForeignServerRelationId, false, is_size, SIZE_HINT},
	{"max_pages", ForeignServerRelationId, false, etl_option_is_count, COUNT_HINT},
	{"max_time", ForeignServerRelationId, false, etl_option_is_wait,
	 "It is a time with its unit between 1 s and 1 d, such as 2 h."},
	{"max_redirects", ForeignServerRelationId, false, is_redirects, "It is a number between 0 and 20."},
	{"url", UserMappingRelationId, false, is_url, "It is a whole address that begins with base_url."},
	{"token", UserMappingRelationId, false, NULL, NULL},
	{"user", UserMappingRelationId, false, NULL, NULL},
	{"password", UserMappingRelationId, false, NULL, NULL},
	{"api_key", UserMappingRelationId, false, NULL, NULL},
	{"client_id", UserMappingRelationId, false, NULL, NULL},
	{"client_secret", UserMappingRelationId, false, NULL, NULL},
	{"header_*", UserMappingRelationId, false, NULL, NULL},
	{"path", ForeignTableRelationId, false, is_path, "It begins with /, and has no \"?\" and \"#\" in it."},
	{"params", ForeignTableRelationId, false, is_params, "It is like status=paid&expand=items, without \"?\"."},
	{"method", ForeignTableRelationId, false, is_method, "It is GET or POST."},
	{"body", ForeignTableRelationId, false, is_body, "It is a JSON object."},
	{"format", ForeignTableRelationId, false, is_format, "It is one of: json, ndjson, csv."},
	{"records", ForeignTableRelationId, false, etl_record_is_path,
	 "It is a jsonpath that begins with $, such as $.data[*]."},
	{"delimiter", ForeignTableRelationId, false, is_char, "It is one character."},
	{"quote", ForeignTableRelationId, false, is_char, "It is one character."},
	{"header", ForeignTableRelationId, false, is_header, "It is one of: true, false, match."},
	{"paging", ForeignTableRelationId, false, is_paging,
	 "It is one of: none, page, offset, cursor, next_url, link_header."},
	{"cursor_param", ForeignTableRelationId, false, is_word, WORD_HINT},
	{"next", ForeignTableRelationId, false, etl_record_is_path, PATH_HINT},
	{"total", ForeignTableRelationId, false, etl_record_is_path, PATH_HINT},
	{"error_path", ForeignTableRelationId, false, etl_record_is_path, PATH_HINT},
	{"page_param", ForeignTableRelationId, false, is_word, WORD_HINT},
	{"first_page", ForeignTableRelationId, false, is_number, "It is a number from 0 on."},
	{"offset_param", ForeignTableRelationId, false, is_word, WORD_HINT},
	{"page_size", ForeignTableRelationId, false, etl_option_is_count, COUNT_HINT},
	{"page_size_param", ForeignTableRelationId, false, is_word, WORD_HINT},
	{"parallel", ForeignTableRelationId, false, is_parallel, "It is a number between 1 and 32."},
	{"since_param", ForeignTableRelationId, false, is_word, WORD_HINT},
	{"until_param", ForeignTableRelationId, false, is_word, WORD_HINT},
	{"since_column", ForeignTableRelationId, false, NULL, NULL},
	{"since_format", ForeignTableRelationId, false, NULL, NULL},
	{"for_each", ForeignTableRelationId, false, NULL, NULL},
	{"max_bytes", ForeignTableRelationId, false, is_size, SIZE_HINT},
	{"max_pages", ForeignTableRelationId, false, etl_option_is_count, COUNT_HINT},
	{"json", AttributeRelationId, false, etl_record_is_path,
	 "It is a jsonpath that begins with $, such as $.customer.id."},
	{"parent", AttributeRelationId, false, NULL, NULL},
	{NULL},
};

/* refuse_header refuses names of headers that decide how a request is read. */
static void
refuse_header(const char *name)
{
	static const char *const fixed[] = {"header_host", "header_content_length", "header_content_type",
										"header_transfer_encoding", "header_connection"};

	for (int i = 0; i < lengthof(fixed); i++)
		if (strcmp(name, fixed[i]) == 0)
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
							errdetail("This header is set by etl_ext."), errhint("Leave it out.")));
}

/* An option that has no meaning without another (value NULL: whatever that is). */
typedef struct Need
{
	const char *name;
	const char *other;
	const char *value;
} Need;

/* has says whether an option is given, with a value if one is named. */
static bool
has(const List *given, const char *name, const char *value)
{
	const char *found = etl_endpoint_option(given, name);

	return found != NULL && (value == NULL || strcmp(found, value) == 0);
}

/* check_needs refuses an option without the one that it belongs to. */
static void
check_needs(const List *given, const Need *need, int n)
{
	for (int i = 0; i < n; i++)
	{
		char *other = need[i].value ? psprintf("%s '%s'", need[i].other, need[i].value) : pstrdup(need[i].other);

		if (has(given, need[i].name, NULL) && !has(given, need[i].other, need[i].value))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("option \"%s\" needs %s", need[i].name, other),
					 errdetail("Without that it has no meaning."), errhint("Add the one, or leave out the other.")));
	}
}

/* check_given refuses that a value of an option comes without another option. */
static void
check_given(const List *given, const char *name, const char *value, const char *other, const char *hint)
{
	if (has(given, name, value) && !has(given, other, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND), errmsg("option \"%s\" is missing", other),
				 errdetail("%s", value ? psprintf("%s '%s' needs it.", name, value) : psprintf("%s needs it.", name)),
				 errhint("%s", hint)));
}

/* check_server checks what goes together on a server. */
static void
check_server(const List *given)
{
	static const Need need[] = {
		{"api_key_name", "auth", "api_key"}, {"api_key_in", "auth", "api_key"}, {"token_url", "auth", "oauth2"},
		{"token_auth", "auth", "oauth2"},	 {"scope", "auth", "oauth2"},		{"audience", "auth", "oauth2"},
	};

	check_needs(given, need, lengthof(need));
	check_given(given, "auth", "api_key", "api_key_name", "It is the name of a header or parameter.");
	check_given(given, "auth", "oauth2", "token_url", "It is the address that gives out tokens.");
}

/* check_mapping checks what goes together in a user mapping. */
static void
check_mapping(const List *given)
{
	static const char *const detail = "A request has one Authorization header.";
	ListCell *lc;

	foreach (lc, given)
		refuse_header(lfirst_node(DefElem, lc)->defname);
	etl_option_exclude(given, "token", "user", detail, "Give either token, or user and password.");
	etl_option_exclude(given, "token", "password", detail, "Give either token, or user and password.");
}

/* check_table checks what goes together on a foreign table. */
static void
check_table(const List *given)
{
	static const Need need[] = {
		{"body", "method", "POST"},
		{"cursor_param", "paging", "cursor"},
		{"page_param", "paging", "page"},
		{"first_page", "paging", "page"},
		{"offset_param", "paging", "offset"},
		{"delimiter", "format", "csv"},
		{"quote", "format", "csv"},
		{"header", "format", "csv"},
		{"since_param", "since_column", NULL},
		{"until_param", "since_param", NULL},
		{"since_format", "since_param", NULL},
	};
	bool by_number = has(given, "paging", "page") || has(given, "paging", "offset");
	bool by_body = has(given, "paging", "cursor") || has(given, "paging", "next_url");
	bool by_lines = has(given, "format", "ndjson") || has(given, "format", "csv");

	check_needs(given, need, lengthof(need));
	check_given(given, "paging", "cursor", "cursor_param", WORD_HINT);
	check_given(given, "paging", "cursor", "next", PATH_HINT);
	check_given(given, "paging", "next_url", "next", PATH_HINT);
	if (has(given, "next", NULL) && !by_body)
		etl_http_refuse_option("next", "It says where a page names the next one: paging 'cursor' or 'next_url'.");
	if (has(given, "total", NULL) && !by_number)
		etl_http_refuse_option("total", "It says how many records there are: paging 'page' or 'offset'.");
	if (has(given, "parallel", NULL) && !by_number && !has(given, "for_each", NULL))
		etl_http_refuse_option("parallel",
							   "Pages can be asked for at the same time with paging 'page' or 'offset', or for_each.");
	if (has(given, "page_size_param", NULL) && !has(given, "page_size", NULL))
		etl_http_refuse_option("page_size_param", "It needs page_size.");
	if (by_lines &&
		(by_body || has(given, "records", NULL) || has(given, "total", NULL) || has(given, "error_path", NULL)))
		etl_http_refuse_option("format",
							   "Lines have no fields around the records: without records, total, error_path, and"
							   " paging that the answer's body names.");
	if (has(given, "method", "POST") && (has(given, "paging", "next_url") || has(given, "paging", "link_header")))
		etl_http_refuse_option("method", "Addresses of next pages are asked for by GET.");
}

/* etl.http_validator(text[], oid) */
Datum
etl_http_validator(PG_FUNCTION_ARGS)
{
	Oid catalog = PG_GETARG_OID(1);
	List *given = etl_option_check(http_option, PG_GETARG_DATUM(0), catalog);

	if (catalog == ForeignServerRelationId)
		check_server(given);
	else if (catalog == UserMappingRelationId)
		check_mapping(given);
	else if (catalog == ForeignTableRelationId)
		check_table(given);
	else if (catalog == AttributeRelationId)
		etl_option_exclude(given, "json", "parent", "A value comes from the record or from for_each.",
						   "Give one of them.");
	PG_RETURN_VOID();
}
