/*
 * option.c
 *		The validators of the foreign data wrappers etl_http and etl_smtp: which options there are, where each belongs and
 *		what it may be. Secrets belong in user mappings only, and no message shows one.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "net/endpoint.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(etl_http_validator);
PG_FUNCTION_INFO_V1(etl_smtp_validator);

/* An option: where it belongs, whether it must be given, and how its value is checked (NULL: any printable text). */
typedef struct Option
{
	const char *name; /* a last '*' stands for any end */
	Oid catalog;
	bool required;
	bool (*is_valid)(const char *value);
	const char *hint; /* what is valid */
} Option;

/* is_time, is_port and so on say whether a value is one. */
static bool
is_time(const char *value)
{
	int ms;

	return etl_endpoint_parse_time(value, &ms);
}

static bool
is_port(const char *value)
{
	return strlen(value) <= 5 && strspn(value, "0123456789") == strlen(value) && atoi(value) >= 1 &&
		   atoi(value) <= 65535;
}

static bool
is_tls(const char *value)
{
	return strcmp(value, "starttls") == 0 || strcmp(value, "tls") == 0 || strcmp(value, "none") == 0;
}

/* is_host accepts names and addresses; nothing that could be read as another part of an address. */
static bool
is_host(const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
		if (*c <= ' ' || *c >= '\x7f' || strchr("/@?#%[]\\\"", *c) != NULL)
			return false;
	return value[0] != '\0' && strlen(value) <= 255;
}

/* has_part says whether libcurl finds a part in an address. */
static bool
has_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool found = curl_url_get(url, part, &text, 0) == CURLUE_OK && text != NULL && text[0] != '\0';

	curl_free(text);
	return found;
}

/* is_base_url accepts the address of a server: http or https, a host, perhaps a port and a path; no user in it. */
static bool
is_base_url(const char *value)
{
	CURLU *url;
	bool valid;

	if ((strncmp(value, "https://", 8) != 0 && strncmp(value, "http://", 7) != 0) ||
		!etl_endpoint_is_below(value, value) || strlen(value) > 2000)
		return false;
	url = curl_url();
	valid = url != NULL && curl_url_set(url, CURLUPART_URL, value, 0) == CURLUE_OK && has_part(url, CURLUPART_HOST) &&
			!has_part(url, CURLUPART_USER) && !has_part(url, CURLUPART_PASSWORD) && strpbrk(value, "?@") == NULL;
	curl_url_cleanup(url);
	return valid;
}

static bool
is_url(const char *value)
{
	return strncmp(value, "https://", 8) == 0 || strncmp(value, "http://", 7) == 0;
}

static const Option http_option[] = {
	{"base_url", ForeignServerRelationId, true, is_base_url,
	 "It is like https://hooks.example.com/path: a host, perhaps a port and a path, without user, \"?\" and \"#\"."},
	{"timeout", ForeignServerRelationId, false, is_time,
	 "It is a time with its unit between 100 ms and 10 min, such as 30 s."},
	{"url", UserMappingRelationId, false, is_url, "It is a whole address that begins with base_url."},
	{"token", UserMappingRelationId, false, NULL, NULL},
	{"user", UserMappingRelationId, false, NULL, NULL},
	{"password", UserMappingRelationId, false, NULL, NULL},
	{"header_*", UserMappingRelationId, false, NULL, NULL},
	{NULL},
};

static const Option smtp_option[] = {
	{"host", ForeignServerRelationId, true, is_host, "It is the name or the address of a mail server."},
	{"port", ForeignServerRelationId, false, is_port, "It is a number between 1 and 65535."},
	{"tls", ForeignServerRelationId, false, is_tls, "It is one of: starttls, tls, none."},
	{"from", ForeignServerRelationId, false, etl_endpoint_is_address, "It is an address like etl@example.com."},
	{"timeout", ForeignServerRelationId, false, is_time,
	 "It is a time with its unit between 100 ms and 10 min, such as 30 s."},
	{"user", UserMappingRelationId, false, NULL, NULL},
	{"password", UserMappingRelationId, false, NULL, NULL},
	{NULL},
};

/* is_named says whether an option has this name; header_* stands for letters, digits and underscores. */
static bool
is_named(const Option *option, const char *name)
{
	const char *star = strchr(option->name, '*');
	int length = star ? (int) (star - option->name) : 0;

	if (star == NULL)
		return strcmp(option->name, name) == 0;
	return strncmp(option->name, name, length) == 0 && name[length] != '\0' &&
		   strspn(name + length, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name + length);
}

/* find_option returns the option of that name in a catalog (InvalidOid: in any), or NULL. */
static const Option *
find_option(const Option *option, const char *name, Oid catalog)
{
	for (; option->name != NULL; option++)
		if ((option->catalog == catalog || !OidIsValid(catalog)) && is_named(option, name))
			return option;
	return NULL;
}

/* names_of lists the options of a catalog for a hint. */
static char *
names_of(const Option *option, Oid catalog)
{
	StringInfoData list;

	initStringInfo(&list);
	for (; option->name != NULL; option++)
		if (option->catalog == catalog)
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", option->name);
	return list.len > 0 ? psprintf("Valid options are: %s.", list.data) : "No options are valid here.";
}

/* refuse_place raises the error for an option that does not belong where it was given. */
static void
refuse_place(const Option *option, const char *name, Oid catalog)
{
	const Option *elsewhere = find_option(option, name, InvalidOid);

	if (elsewhere != NULL && elsewhere->catalog == UserMappingRelationId)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("option \"%s\" belongs in a user mapping", name),
				 errdetail("Whoever may look at the catalog sees the options of servers and foreign tables."),
				 errhint("CREATE USER MAPPING FOR ... SERVER ... OPTIONS (%s '...').", name)));
	if (elsewhere != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("option \"%s\" belongs on the server", name),
				 errdetail("It is the same for all users."), errhint("ALTER SERVER ... OPTIONS (%s '...').", name)));
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
					errdetail("The wrapper has no such option."), errhint("%s", names_of(option, catalog))));
}

/* check_value refuses a value; it is not shown where it may be secret. */
static void
check_value(const Option *option, const char *name, const char *value)
{
	/* Whoever puts a user or a token into base_url gave a secret away already; it need not go into the log, too. */
	bool secret = option->catalog == UserMappingRelationId || option->is_valid == is_base_url;

	for (const char *c = value; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == '\x7f')
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
							errmsg("option \"%s\" contains a control character", name),
							errdetail("It is character %d.", (int) (c - value) + 1),
							errhint("Leave out ends of lines and tabs.")));
	if (value[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE), errmsg("option \"%s\" is empty", name),
						errdetail("An empty text was given."), errhint("Give it a value, or leave it out.")));
	if (option->is_valid != NULL && !option->is_valid(value))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE), errmsg("option \"%s\" has an invalid value", name),
				 secret ? errdetail("The value is not shown, as it may be secret.") : errdetail("It is \"%s\".", value),
				 errhint("%s", option->hint)));
}

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

/* check_options checks the options of one object as they will be after the statement. */
static void
check_options(const Option *option, Datum options, Oid catalog)
{
	List *list = untransformRelOptions(options);
	ListCell *lc;

	foreach (lc, list)
	{
		DefElem *given = lfirst_node(DefElem, lc);
		const Option *found = find_option(option, given->defname, catalog);

		if (found == NULL)
			refuse_place(option, given->defname, catalog);
		refuse_header(given->defname);
		check_value(found, given->defname, defGetString(given));
	}
	for (; option->name != NULL; option++)
		if (option->required && option->catalog == catalog && etl_endpoint_option(list, option->name) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND), errmsg("option \"%s\" is missing", option->name),
					 errdetail("A server of this wrapper needs it."), errhint("%s", option->hint)));
	if (catalog == UserMappingRelationId && etl_endpoint_option(list, "token") != NULL &&
		(etl_endpoint_option(list, "user") != NULL || etl_endpoint_option(list, "password") != NULL))
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("token and user exclude each other"),
						errdetail("A request has one Authorization header."),
						errhint("Give either token, or user and password.")));
}

/* etl.http_validator(text[], oid) */
Datum
etl_http_validator(PG_FUNCTION_ARGS)
{
	check_options(http_option, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}

/* etl.smtp_validator(text[], oid) */
Datum
etl_smtp_validator(PG_FUNCTION_ARGS)
{
	check_options(smtp_option, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
