/*
 * option.c
 *		Validators of our foreign data wrappers. See option.h.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "net/endpoint.h"
#include "net/option.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* Smallest size that an option may name. */
#define SMALLEST_SIZE 1024

/* Shortest and longest wait, in ms. */
#define SHORTEST_WAIT 1000
#define LONGEST_WAIT (24 * 3600 * 1000)

/* Checks of values: see option.h. */
bool
etl_option_is_time(const char *value)
{
	int ms;

	return etl_endpoint_parse_time(value, &ms);
}

/* etl_option_parse_time wants a unit, as a bare number would be taken for seconds by most and is milliseconds. */
bool
etl_option_parse_time(const char *text, int least, int most, int *ms)
{
	int length = strlen(text);

	if (length == 0 || strchr("0123456789. ", text[length - 1]) != NULL)
		return false;
	return parse_int(text, ms, GUC_UNIT_MS, NULL) && *ms >= least && *ms <= most;
}

/* etl_option_parse_wait knows the limits. */
bool
etl_option_parse_wait(const char *text, int *ms)
{
	return etl_option_parse_time(text, SHORTEST_WAIT, LONGEST_WAIT, ms);
}

bool
etl_option_is_wait(const char *value)
{
	int ms;

	return etl_option_parse_wait(value, &ms);
}

/* etl_option_character reads a valid one. */
char
etl_option_character(const List *given, const char *name, char otherwise)
{
	const char *value = etl_endpoint_option(given, name);

	if (value == NULL)
		return otherwise;
	return strcmp(value, "\\t") == 0 ? '\t' : value[0];
}

bool
etl_option_is_bool(const char *value)
{
	return strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
}

bool
etl_option_is_count(const char *value)
{
	int64 n = 0;

	if (value[0] == '\0' || strlen(value) > 10 || strspn(value, "0123456789") != strlen(value))
		return false;
	n = strtoll(value, NULL, 10);
	return n >= 1 && n <= PG_INT32_MAX;
}

/* etl_option_parse_size wants a unit, so that nobody mistakes bytes for megabytes. */
bool
etl_option_parse_size(const char *text, int64 *bytes)
{
	int length = strlen(text);
	int kilobytes;

	if (length == 0 || strchr("0123456789. ", text[length - 1]) != NULL ||
		!parse_int(text, &kilobytes, GUC_UNIT_KB, NULL))
		return false;
	*bytes = (int64) kilobytes * 1024;
	return *bytes >= SMALLEST_SIZE;
}

bool
etl_option_is_size(const char *value)
{
	int64 bytes;

	return etl_option_parse_size(value, &bytes);
}

bool
etl_option_is_port(const char *value)
{
	return strlen(value) <= 5 && strspn(value, "0123456789") == strlen(value) && atoi(value) >= 1 &&
		   atoi(value) <= 65535;
}

bool
etl_option_is_encoding(const char *value)
{
	return pg_char_to_encoding(value) >= 0;
}

bool
etl_option_is_one_of(const char *value, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(value, *words) == 0)
			return true;
	return false;
}

/* etl_option_is_host accepts nothing that could be read as another part of an address. */
bool
etl_option_is_host(const char *value)
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

/* etl_option_is_base_url accepts the address of a server: http or https, a host, perhaps a port and a path; no user in it. */
bool
etl_option_is_base_url(const char *value)
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

/* is_named says whether an option has this name; header_* stands for letters, digits and underscores. */
static bool
is_named(const EtlOption *option, const char *name)
{
	const char *star = strchr(option->name, '*');
	int length = star ? (int) (star - option->name) : 0;

	if (star == NULL)
		return strcmp(option->name, name) == 0;
	return strncmp(option->name, name, length) == 0 && name[length] != '\0' &&
		   strspn(name + length, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name + length);
}

/* find_option returns the option of that name in a catalog (InvalidOid: in any), or NULL. */
static const EtlOption *
find_option(const EtlOption *option, const char *name, Oid catalog)
{
	for (; option->name != NULL; option++)
		if ((option->catalog == catalog || !OidIsValid(catalog)) && is_named(option, name))
			return option;
	return NULL;
}

/* names_of lists the options of a catalog for a hint. */
static char *
names_of(const EtlOption *option, Oid catalog)
{
	StringInfoData list;

	initStringInfo(&list);
	for (; option->name != NULL; option++)
		if (option->catalog == catalog)
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", option->name);
	return list.len > 0 ? psprintf("Valid options are: %s.", list.data) : "No options are valid here.";
}

/* place_of names what an option of a catalog is given to, and the statement that does it. */
static const char *
place_of(Oid catalog, const char **statement)
{
	switch (catalog)
	{
		case ForeignServerRelationId:
			*statement = "ALTER SERVER ...";
			return "on the server";
		case UserMappingRelationId:
			*statement = "CREATE USER MAPPING FOR ... SERVER ...";
			return "in a user mapping";
		case ForeignTableRelationId:
			*statement = "ALTER FOREIGN TABLE ...";
			return "on the foreign table";
		default:
			*statement = "ALTER FOREIGN TABLE ... ALTER COLUMN ...";
			return "on a column";
	}
}

/* refuse_place raises the error for an option that does not belong where it was given. */
static void
refuse_place(const EtlOption *option, const char *name, Oid catalog)
{
	const EtlOption *elsewhere = find_option(option, name, InvalidOid);
	const char *detail = "It is the same for all users.";
	const char *statement;
	const char *place;

	if (elsewhere == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
						errdetail("The wrapper has no such option."), errhint("%s", names_of(option, catalog))));
	place = place_of(elsewhere->catalog, &statement);
	if (elsewhere->catalog == UserMappingRelationId)
		detail = "Whoever may look at the catalog sees the options of servers and foreign tables.";
	else if (elsewhere->catalog != ForeignServerRelationId)
		detail = "It belongs to one foreign table, not to its server.";
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("option \"%s\" belongs %s", name, place),
					errdetail("%s", detail), errhint("%s OPTIONS (%s '...').", statement, name)));
}

/* check_value refuses a value; it is not shown where it may be secret. */
static void
check_value(const EtlOption *option, const char *name, const char *value)
{
	/* Whoever puts a user or a token into base_url gave a secret away already; it need not go into the log, too. */
	bool secret = option->catalog == UserMappingRelationId || option->hidden;

	for (const char *c = value; *c != '\0'; c++)
		if (((unsigned char) *c < ' ' && !(option->lines && strchr("\r\n", *c) != NULL)) || *c == '\x7f')
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

/* check_required looks for the options that an object must have. */
static void
check_required(const EtlOption *option, const List *given, Oid catalog)
{
	for (; option->name != NULL; option++)
		if (option->required && option->catalog == catalog && etl_endpoint_option(given, option->name) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND), errmsg("option \"%s\" is missing", option->name),
					 errdetail(catalog == ForeignServerRelationId ? "A server of this wrapper needs it."
																  : "A foreign table of this wrapper needs it."),
					 errhint("%s", option->hint)));
}

/* etl_option_check goes through what was given, then through what must be. */
List *
etl_option_check(const EtlOption *option, Datum options, Oid catalog)
{
	List *list = untransformRelOptions(options);
	ListCell *lc;

	foreach (lc, list)
	{
		DefElem *given = lfirst_node(DefElem, lc);
		const EtlOption *found = find_option(option, given->defname, catalog);

		if (found == NULL)
			refuse_place(option, given->defname, catalog);
		check_value(found, given->defname, defGetString(given));
	}
	check_required(option, list, catalog);
	return list;
}

/* etl_option_exclude refuses both. */
void
etl_option_exclude(const List *given, const char *one, const char *other, const char *why, const char *hint)
{
	if (etl_endpoint_option(given, one) != NULL && etl_endpoint_option(given, other) != NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("%s and %s exclude each other", one, other),
						errdetail("%s", why), errhint("%s", hint)));
}
