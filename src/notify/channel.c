/*
 * channel.c
 *		Channels webhook and email. See channel.h.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "compat.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/endpoint.h"
#include "notify/channel.h"
#include "notify/mail.h"
#include "notify/message.h"
#include "notify/route.h"
#include "utils/builtins.h"

/* Bytes of an answer that are read, and that are kept in etl.alert_delivery. */
#define ANSWER_LIMIT 2000
#define WORDS_LIMIT 500
/* Longest body of a webhook, in bytes. */
#define BODY_LIMIT 30000
/* Shorter texts are no secrets: to blank them would blank half of the answer. */
#define SHORTEST_SECRET 4

/* add_name adds a text to a list. */
static void
add_name(EtlNames *list, char *name)
{
	list->name = list->name ? repalloc(list->name, sizeof(char *) * (list->n + 1)) : palloc(sizeof(char *));
	list->name[list->n++] = name;
}

/* add_secret notes a text that no record may show. */
static void
add_secret(EtlChannel *channel, const char *secret)
{
	if (secret != NULL && strlen(secret) >= SHORTEST_SECRET)
		add_name(&channel->secret, pstrdup(secret));
}

/* append_escaped adds a text with all but letters, digits, '.', '_' and '-' as %XX. */
static void
append_escaped(StringInfo out, const char *text)
{
	for (const unsigned char *c = (const unsigned char *) text; *c != '\0'; c++)
	{
		if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '.' ||
			*c == '_' || *c == '-')
			appendStringInfoChar(out, *c);
		else
			appendStringInfo(out, "%%%02X", *c);
	}
}

/* key_of names an alert on a route, the same for each try: by it a receiver can tell a repetition. */
static char *
key_of(const EtlDelivery *delivery)
{
	StringInfoData key;

	initStringInfo(&key);
	appendStringInfoString(&key, "etl-");
	append_escaped(&key, get_database_name(MyDatabaseId));
	if (delivery->event != NULL)
		appendStringInfo(&key, "-lineage-" INT64_FORMAT "-", delivery->delivery_id);
	else
		appendStringInfo(&key, "-" INT64_FORMAT "-", delivery->alert.alert_id);
	append_escaped(&key, delivery->route);
	return key.data;
}

/* find_server fills in the endpoint of a route, or says why it cannot be used. */
static const char *
find_server(const EtlAlertRoute *route, const char *wrapper, EtlEndpoint *endpoint)
{
	switch (route->server ? etl_endpoint_find(route->server, wrapper, route->owner, endpoint) : ETL_ENDPOINT_MISSING)
	{
		case ETL_ENDPOINT_MISSING:
			return psprintf("server \"%s\" does not exist", route->server ? route->server : "");
		case ETL_ENDPOINT_OTHER:
			return psprintf("server \"%s\" is not of FOREIGN DATA WRAPPER %s", route->server, wrapper);
		case ETL_ENDPOINT_DENIED:
			return psprintf("role \"%s\", who owns the route, has no USAGE on server \"%s\"", route->owner_name,
							route->server);
		case ETL_ENDPOINT_OK:
			break;
	}
	etl_endpoint_read_mapping(endpoint, route->owner);
	return NULL;
}

/* note_login notes user and password, also as they stand in a header. */
static void
note_login(EtlChannel *channel, const EtlEndpoint *endpoint)
{
	EtlTransferRequest *request = &channel->request;
	char *login;
	char *encoded;
	int size;
	int n;

	request->user = etl_endpoint_option(endpoint->mapping_options, "user");
	request->password = etl_endpoint_option(endpoint->mapping_options, "password");
	if (request->password == NULL)
		return;
	login = psprintf("%s:%s", request->user ? request->user : "", request->password);
	size = pg_b64_enc_len(strlen(login));
	encoded = palloc0(size + 1);
	n = etl_compat_base64(login, strlen(login), encoded, size);
	add_secret(channel, request->password);
	add_secret(channel, n > 0 ? encoded : NULL);
}

/* add_headers adds the headers of the user mapping: header_x_api_key is X-Api-Key. */
static void
add_headers(EtlChannel *channel, const EtlEndpoint *endpoint)
{
	const char *token = etl_endpoint_option(endpoint->mapping_options, "token");
	ListCell *lc;

	if (token != NULL)
		add_name(&channel->request.header, psprintf("Authorization: Bearer %s", token));
	add_secret(channel, token);
	foreach (lc, endpoint->mapping_options)
	{
		DefElem *option = lfirst_node(DefElem, lc);
		const char *value = etl_endpoint_option(endpoint->mapping_options, option->defname);
		char *name;

		if (strncmp(option->defname, "header_", 7) != 0)
			continue;
		name = pstrdup(option->defname + 7);
		for (char *c = name; *c != '\0'; c++)
			if (*c == '_')
				*c = '-';
		add_name(&channel->request.header, psprintf("%s: %s", name, value));
		add_secret(channel, value);
	}
}

/*
 * set_url puts the address together: the secret one, as a whole, or that of the server and the path. False when the secret
 * one leads away from the server.
 */
static bool
set_url(EtlChannel *channel, const EtlEndpoint *endpoint, const char *path)
{
	const char *base_url = etl_endpoint_option(endpoint->server_options, "base_url");
	const char *secret_url = etl_endpoint_option(endpoint->mapping_options, "url");
	int length = strlen(base_url);

	if (secret_url != NULL)
	{
		add_secret(channel, secret_url);
		add_secret(channel, secret_url + Min(length, (int) strlen(secret_url)));
		channel->request.url = secret_url;
		return etl_endpoint_is_below(secret_url, base_url);
	}
	while (path != NULL && length > 0 && base_url[length - 1] == '/')
		length--;
	channel->request.url = psprintf("%.*s%s", length, base_url, path ? path : "");
	return path == NULL || etl_endpoint_is_below(path, "");
}

/* prepare_webhook makes the request of channels webhook and openlineage. Returns why it cannot, or NULL. */
static const char *
prepare_webhook(const EtlDelivery *delivery, const EtlAlertRoute *route, EtlChannel *channel)
{
	EtlEndpoint endpoint;
	const char *problem = find_server(route, ETL_ENDPOINT_HTTP, &endpoint);
	bool is_lineage = strcmp(route->channel, ETL_ROUTE_OPENLINEAGE) == 0;
	const char *path = etl_route_text(route, "path");
	const char *json;

	if (problem != NULL)
		return problem;
	if (!set_url(channel, &endpoint, path == NULL && is_lineage ? ETL_ROUTE_OPENLINEAGE_PATH : path))
		return "the url of the user mapping does not begin with the base_url of the server";
	if (delivery->event != NULL)
		json = delivery->event;
	else
		json = is_lineage ? etl_message_lineage(&delivery->alert, etl_route_text(route, "namespace"))
						  : etl_message_json(&delivery->alert, true, BODY_LIMIT);
	note_login(channel, &endpoint);
	add_name(&channel->request.header, "Content-Type: application/json");
	add_name(&channel->request.header, psprintf("Idempotency-Key: %s", key_of(delivery)));
	add_headers(channel, &endpoint);
	channel->request.timeout = etl_endpoint_timeout(&endpoint);
	channel->request.body = pg_server_to_any(json, strlen(json), PG_UTF8);
	return NULL;
}

/* mail_url returns the address of a mail server. */
static char *
mail_url(const EtlEndpoint *endpoint, const char *tls)
{
	const char *host = etl_endpoint_option(endpoint->server_options, "host");
	const char *port = etl_endpoint_option(endpoint->server_options, "port");
	bool is_v6 = strchr(host, ':') != NULL;

	if (port == NULL)
		port = strcmp(tls, "tls") == 0 ? "465" : strcmp(tls, "none") == 0 ? "25" : "587";
	return psprintf("%s://%s%s%s:%s", strcmp(tls, "tls") == 0 ? "smtps" : "smtp", is_v6 ? "[" : "", host,
					is_v6 ? "]" : "", port);
}

/* prepare_email makes the request of channel email. Returns why it cannot, or NULL. */
static const char *
prepare_email(const EtlDelivery *delivery, const EtlAlertRoute *route, EtlChannel *channel)
{
	EtlEndpoint endpoint;
	const char *problem = find_server(route, ETL_ENDPOINT_SMTP, &endpoint);
	EtlMail mail = {.prefix = etl_route_text(route, "subject_prefix"), .alert = &delivery->alert};
	char *key = key_of(delivery);
	const char *tls;

	if (problem != NULL)
		return problem;
	tls = etl_endpoint_option(endpoint.server_options, "tls");
	tls = tls ? tls : "starttls";
	mail.to = etl_route_list(route, "to");
	mail.from = etl_route_text(route, "from");
	if (mail.from == NULL)
		mail.from = etl_endpoint_option(endpoint.server_options, "from");
	if (mail.to.n == 0 || mail.from == NULL)
		return "there is no recipient, or nobody to send it";
	mail.message_id = psprintf("etl." INT64_FORMAT ".%08x%s", delivery->alert.alert_id,
							   hash_bytes((const unsigned char *) key, strlen(key)), strchr(mail.from, '@'));
	note_login(channel, &endpoint);
	channel->request.url = mail_url(&endpoint, tls);
	channel->request.starttls = strcmp(tls, "starttls") == 0;
	channel->request.mail_from = mail.from;
	channel->request.mail_to = mail.to;
	channel->request.timeout = etl_endpoint_timeout(&endpoint);
	channel->request.body = etl_mail_compose(&mail);
	return NULL;
}

/* etl_channel_prepare makes the request of a delivery. */
void
etl_channel_prepare(const EtlDelivery *delivery, const EtlAlertRoute *route, EtlChannel *channel)
{
	memset(channel, 0, sizeof(*channel));
	channel->request.answer_limit = ANSWER_LIMIT;
	channel->request.cut_answer = true;
	if (strcmp(route->channel, "webhook") == 0 || strcmp(route->channel, ETL_ROUTE_OPENLINEAGE) == 0)
		channel->problem = prepare_webhook(delivery, route, channel);
	else if (strcmp(route->channel, "email") == 0)
		channel->problem = prepare_email(delivery, route, channel);
	else
		channel->problem = psprintf("channel %s sends nothing", route->channel);
}

/* blank puts stars in the place of secrets: a receiver may repeat them in its answer. */
static char *
blank(const EtlChannel *channel, char *text)
{
	for (int i = 0; i < channel->secret.n; i++)
	{
		int length = strlen(channel->secret.name[i]);

		for (char *found = text; (found = strstr(found, channel->secret.name[i])) != NULL; found += length)
			memset(found, '*', length);
	}
	return text;
}

/* make_printable makes an answer, which may be anything, into one line of the database's encoding. */
static char *
make_printable(char *text)
{
	bool valid = pg_verifymbstr(text, strlen(text), true);

	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == '\x7f' || (!valid && IS_HIGHBIT_SET(*c)))
			*c = ' ';
	while (text[0] == ' ')
		text++;
	for (int length = strlen(text); length > 0 && text[length - 1] == ' ';)
		text[--length] = '\0';
	return text;
}

/* is_worth_again says whether another try may get another answer. */
static bool
is_worth_again(bool mail, const EtlTransferResult *result)
{
	if (mail && result->status >= 400)
		return result->status < 500;
	if (!result->ok)
		return result->passing;
	return result->status == 408 || result->status == 429 || result->status >= 500;
}

/* etl_channel_outcome says what came of a request. */
bool
etl_channel_outcome(const EtlChannel *channel, const EtlTransferResult *result, char **words, bool *again)
{
	bool mail = channel->request.mail_from != NULL;
	bool delivered = result->ok && result->status >= 200 && result->status < 300;
	char *answer = make_printable(blank(channel, pstrdup(result->answer)));
	StringInfoData out;

	initStringInfo(&out);
	if (!result->ok)
		appendStringInfoString(&out, make_printable(blank(channel, pstrdup(result->error))));
	if (result->status != 0 && !mail)
		appendStringInfo(&out, "%sHTTP %d", out.len > 0 ? "; " : "", result->status);
	if (result->status >= 300 && result->status < 400 && !mail)
		appendStringInfoString(&out, " (redirections are not followed)");
	if (answer[0] != '\0')
		appendStringInfo(&out, "%s%s", out.len > 0 ? ": " : "", answer);
	*words = etl_message_clip(out.data, WORDS_LIMIT);
	*again = !delivered && is_worth_again(mail, result);
	return delivered;
}
