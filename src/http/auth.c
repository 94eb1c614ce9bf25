/*
 * auth.c
 *		What proves to an API who asks. See auth.h.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "format/record.h"
#include "http/auth.h"
#include "http/parent.h"
#include "http/request.h"
#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A token is renewed so many seconds before it expires, or at a tenth of its life if that is less. */
#define RENEW_BEFORE 60

/* Life of a token whose answer does not say it, in seconds. */
#define DEFAULT_LIFE 300

/* Longest answer of a token endpoint. */
#define LONGEST_ANSWER 65536

/* A token of this process, for a server and what was shown for it. */
typedef struct Token
{
	struct Token *next;
	Oid server;
	uint64 shown;
	TimestampTz renew_at;
	char *text;
} Token;

static Token *tokens = NULL;

/* shown_hash is of everything that a token depends on. */
static uint64
shown_hash(const EtlHttpTable *table)
{
	char *all = psprintf("%s\n%s\n%s\n%s\n%s", table->token_url, table->client_id, table->client_secret,
						 table->scope ? table->scope : "", table->audience ? table->audience : "");

	return hash_bytes_extended((const unsigned char *) all, strlen(all), 0);
}

/* find_token returns the token of a table, whether it is still good or not. */
static Token *
find_token(const EtlHttpTable *table)
{
	uint64 shown = shown_hash(table);

	for (Token *token = tokens; token != NULL; token = token->next)
		if (token->server == table->server && token->shown == shown)
			return token;
	return NULL;
}

/* etl_http_auth_token returns a token that is still good. */
char *
etl_http_auth_token(const EtlHttpTable *table)
{
	Token *token = find_token(table);

	if (token == NULL || token->text == NULL || token->renew_at <= GetCurrentTimestamp())
		return NULL;
	return pstrdup(token->text);
}

/* etl_http_auth_forget makes the next request ask for a new one. */
void
etl_http_auth_forget(const EtlHttpTable *table)
{
	Token *token = find_token(table);

	if (token != NULL && token->text != NULL)
	{
		pfree(token->text);
		token->text = NULL;
	}
}

/* add_field adds a field of a form. */
static void
add_field(StringInfo form, const char *name, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(form, "%s%s=", form->len > 0 ? "&" : "", name);
	etl_http_escape(form, value);
}

/* etl_http_auth_ask makes the request for a token. */
void
etl_http_auth_ask(const EtlHttpTable *table, EtlTransferRequest *request)
{
	StringInfoData form;

	initStringInfo(&form);
	memset(request, 0, sizeof(*request));
	request->url = table->token_url;
	request->timeout = table->timeout;
	request->answer_limit = LONGEST_ANSWER;
	request->with_headers = true;
	request->header.name = palloc(sizeof(char *) * 2);
	request->header.name[request->header.n++] = "Content-Type: application/x-www-form-urlencoded";
	request->header.name[request->header.n++] = "Accept: application/json";
	add_field(&form, "grant_type", "client_credentials");
	add_field(&form, "scope", table->scope);
	add_field(&form, "audience", table->audience);
	if (table->token_by_body)
	{
		add_field(&form, "client_id", table->client_id);
		add_field(&form, "client_secret", table->client_secret);
	}
	else
	{
		request->user = table->client_id;
		request->password = table->client_secret;
	}
	request->body = form.data;
}

/* field_of returns a field of an answer as text, or NULL. */
static char *
field_of(Jsonb *answer, const char *path)
{
	Jsonb *item = etl_record_first(answer, etl_record_path(path));
	JsonbValue value;

	if (item == NULL || !JsonbExtractScalar(&item->root, &value))
		return NULL;
	if (value.type == jbvString)
		return pnstrdup(value.val.string.val, value.val.string.len);
	return value.type == jbvNumeric ? JsonbToCString(NULL, &item->root, VARSIZE(item)) : NULL;
}

/* keep stores a token for the process. */
static void
keep(const EtlHttpTable *table, const char *text, double life)
{
	Token *token = find_token(table);
	double early = Min((double) RENEW_BEFORE, life / 10);

	if (token == NULL)
	{
		token = MemoryContextAllocZero(TopMemoryContext, sizeof(Token));
		token->server = table->server;
		token->shown = shown_hash(table);
		token->next = tokens;
		tokens = token;
	}
	else
		etl_http_auth_forget(table);
	token->text = MemoryContextStrdup(TopMemoryContext, text);
	token->renew_at = GetCurrentTimestamp() + (int64) ((life - early) * USECS_PER_SEC);
}

/* etl_http_auth_keep takes the token out of the answer. */
EtlHttpFailure *
etl_http_auth_keep(const EtlHttpTable *table, const EtlTransferResult *result)
{
	EtlHttpFailure *failure;
	EtlBadRow ignored = {0};
	Jsonb *answer = etl_record_parse(result->answer, (int) result->length, &ignored, NULL);
	char *token = answer != NULL ? field_of(answer, "$.access_token") : NULL;
	char *life = answer != NULL ? field_of(answer, "$.expires_in") : NULL;
	char *kind = answer != NULL ? field_of(answer, "$.token_type") : NULL;

	if (token != NULL && token[0] != '\0' && (kind == NULL || pg_strcasecmp(kind, "bearer") == 0))
	{
		keep(table, token, life != NULL && atof(life) > 0 ? Min(atof(life), 86400.0) : DEFAULT_LIFE);
		return NULL;
	}
	failure = palloc0(sizeof(EtlHttpFailure));
	failure->sqlstate = ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
	failure->message = "the token endpoint gave no token";
	failure->detail = "Its answer has no access_token of type bearer.";
	failure->hint = "Check token_url, scope and audience of the server.";
	return failure;
}

/* etl_http_auth_add adds what the server wants. */
void
etl_http_auth_add(const EtlHttpTable *table, const char *token, EtlTransferRequest *request)
{
	for (int i = 0; i < table->header.n; i++)
		request->header.name[request->header.n++] = table->header.name[i];
	switch (table->auth)
	{
		case ETL_HTTP_NONE:
			break;
		case ETL_HTTP_BASIC:
			request->user = table->user;
			request->password = table->password != NULL ? table->password : "";
			break;
		case ETL_HTTP_BEARER:
		case ETL_HTTP_OAUTH2:
			request->header.name[request->header.n++] = psprintf("Authorization: Bearer %s",
																 table->auth == ETL_HTTP_BEARER ? table->token : token);
			break;
		case ETL_HTTP_API_KEY:
			if (table->api_key_in_query)
				request->url = etl_http_request_add(etl_http_request_remove(request->url, table->api_key_name),
													table->api_key_name, table->api_key);
			else
				request->header.name[request->header.n++] = psprintf("%s: %s", table->api_key_name, table->api_key);
			break;
	}
}
