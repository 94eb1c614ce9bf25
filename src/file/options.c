/*
 * options.c
 *		The options of foreign data wrappers etl_s3 and etl_file. See options.h.
 */
#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "file/options.h"
#include "format/record.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/endpoint.h"
#include "net/option.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(etl_s3_validator);
PG_FUNCTION_INFO_V1(etl_file_validator);

const char *const etl_file_own[] = {"_file", "_line", "_modified", "_size", NULL};

/* is_root wants a directory that does not depend on where the server runs. */
static bool
is_root(const char *value)
{
	return value[0] == '/' && strstr(value, "/../") == NULL && strstr(value, "/./") == NULL;
}

/* is_prefix refuses ways up. */
static bool
is_prefix(const char *value)
{
	return value[0] != '/' && strncmp(value, "../", 3) != 0 && strstr(value, "/../") == NULL;
}

/* is_bucket knows the letters of names of buckets. */
static bool
is_bucket(const char *value)
{
	size_t length = strlen(value);

	return length >= 3 && length <= 63 && strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789.-") == length &&
		   strstr(value, "..") == NULL;
}

static bool
is_region(const char *value)
{
	return strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(value);
}

/* is_endpoint is an address without a path. */
static bool
is_endpoint(const char *value)
{
	const char *host = strstr(value, "://");

	return etl_option_is_base_url(value) && host != NULL && strchr(host + 3, '/') == NULL;
}

static bool
is_addressing(const char *value)
{
	static const char *const words[] = {"auto", "path", "virtual", NULL};

	return etl_option_is_one_of(value, words);
}

static bool
is_format(const char *value)
{
	static const char *const words[] = {"csv", "ndjson", NULL};

	return etl_option_is_one_of(value, words);
}

static bool
is_header(const char *value)
{
	static const char *const words[] = {"match", "skip", "none", NULL};

	return etl_option_is_one_of(value, words);
}

static bool
is_missing(const char *value)
{
	static const char *const words[] = {"error", "null", NULL};

	return etl_option_is_one_of(value, words);
}

static bool
is_compression(const char *value)
{
	static const char *const words[] = {"auto", "none", "gzip", "zstd", NULL};

	return etl_option_is_one_of(value, words);
}

/* is_character wants one byte that is no letter that numbers are made of. */
static bool
is_character(const char *value)
{
	return (strlen(value) == 1 && !isalnum((unsigned char) value[0]) && value[0] != '.') || strcmp(value, "\\t") == 0;
}

static const char one_character[] =
	"It is one character of one byte that is neither letter, digit nor dot; \\t is a tab.";

/* Options that tables of both wrappers have, and their columns. */
#define TABLE_OPTIONS                                                                                                  \
	{"prefix", ForeignTableRelationId, false, is_prefix, "It is how all paths begin, without a \"/\" in front."},      \
		{"pattern", ForeignTableRelationId, false, NULL, NULL},                                                        \
		{"format", ForeignTableRelationId, false, is_format, "It is one of: csv, ndjson."},                            \
		{"compression", ForeignTableRelationId, false, is_compression, "It is one of: auto, none, gzip, zstd."},       \
		{"header", ForeignTableRelationId, false, is_header, "It is one of: match, skip, none."},                      \
		{"missing_columns", ForeignTableRelationId, false, is_missing, "It is one of: error, null."},                  \
		{"delimiter", ForeignTableRelationId, false, is_character, one_character},                                     \
		{"quote", ForeignTableRelationId, false, is_character, one_character},                                         \
		{"escape", ForeignTableRelationId, false, is_character, one_character},                                        \
		{"null", ForeignTableRelationId, false, NULL, NULL},                                                           \
		{"encoding", ForeignTableRelationId, false, etl_option_is_encoding, "It is a character set, such as LATIN1."}, \
		{"max_bytes", ForeignTableRelationId, false, etl_option_is_size, "It is a size with its unit, such as 2 GB."}, \
		{"json", AttributeRelationId, false, etl_record_is_path, "It is a jsonpath that begins with $."},              \
	{                                                                                                                  \
		NULL                                                                                                           \
	}

static const EtlOption s3_option[] = {
	{"bucket", ForeignServerRelationId, true, is_bucket, "It is the name of a bucket."},
	{"endpoint", ForeignServerRelationId, false, is_endpoint,
	 "It is like https://s3.eu-west-1.amazonaws.com: a host and perhaps a port, without user and path.", true},
	{"region", ForeignServerRelationId, false, is_region, "It is a region, such as eu-west-1."},
	{"addressing", ForeignServerRelationId, false, is_addressing, "It is one of: auto, path, virtual."},
	{"timeout", ForeignServerRelationId, false, etl_option_is_time,
	 "It is a time with its unit between 100 ms and 10 min, such as 30 s."},
	{"access_key_id", UserMappingRelationId},
	{"secret_access_key", UserMappingRelationId},
	{"session_token", UserMappingRelationId},
	TABLE_OPTIONS,
};

static const EtlOption file_option[] = {
	{"root", ForeignServerRelationId, true, is_root, "It is a directory of this server, from / on."},
	TABLE_OPTIONS,
};

/* check_characters refuses characters of CSV that cannot be told apart. */
static void
check_characters(const List *given)
{
	char delimiter = etl_option_character(given, "delimiter", ',');
	char quote = etl_option_character(given, "quote", '"');
	char escape = etl_option_character(given, "escape", quote);
	const char *null = etl_endpoint_option(given, "null");
	const char *encoding = etl_endpoint_option(given, "encoding");

	if (delimiter == quote)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE), errmsg("delimiter and quote are the same"),
						errdetail("Both are \"%c\".", delimiter), errhint("Choose different characters.")));
	if (null && (strchr(null, delimiter) != NULL || strchr(null, quote) != NULL))
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("option \"null\" has the delimiter or the quote in it"),
						errdetail("An unquoted field can have neither of them."),
						errhint("Give the text of the whole field, without quotes.")));
	/* Such a byte may be the second one of a character there. */
	if (encoding && PG_ENCODING_IS_CLIENT_ONLY(pg_char_to_encoding(encoding)) && (quote >= '@' || escape >= '@'))
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("quote and escape cannot be \"%c\" and \"%c\" in encoding %s", quote, escape, encoding),
						errdetail("Other characters of that encoding have such bytes in them."),
						errhint("Convert the files to UTF8.")));
}

/* check_table refuses options that do not fit together. */
static void
check_table(const List *given)
{
	static const char *const of_csv[] = {"header", "missing_columns", "delimiter", "quote", "escape", "null"};
	const char *format = etl_endpoint_option(given, "format");

	for (int i = 0; format && strcmp(format, "ndjson") == 0 && i < lengthof(of_csv); i++)
		if (etl_endpoint_option(given, of_csv[i]))
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							errmsg("option \"%s\" has no meaning for format ndjson", of_csv[i]),
							errdetail("It belongs to format csv."), errhint("Leave it out.")));
	check_characters(given);
}

/* etl.s3_validator(text[], oid) */
Datum
etl_s3_validator(PG_FUNCTION_ARGS)
{
	List *given = etl_option_check(s3_option, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	Oid catalog = PG_GETARG_OID(1);

	if (catalog == ForeignTableRelationId)
		check_table(given);
	if (catalog == UserMappingRelationId && given != NIL &&
		(etl_endpoint_option(given, "access_key_id") == NULL ||
		 etl_endpoint_option(given, "secret_access_key") == NULL))
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("access_key_id and secret_access_key belong together"),
						errdetail("A signature needs both."), errhint("Give both, or none for a public bucket.")));
	PG_RETURN_VOID();
}

/* etl.file_validator(text[], oid) */
Datum
etl_file_validator(PG_FUNCTION_ARGS)
{
	List *given = etl_option_check(file_option, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	Oid catalog = PG_GETARG_OID(1);

	if (catalog == ForeignTableRelationId)
		check_table(given);
	/* Whoever decides where files lie could otherwise let others read them, as view owners do. */
	if (catalog == ForeignServerRelationId && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to name a directory of this server"),
			 errdetail("Role \"%s\" is not a member of pg_read_server_files.", GetUserNameFromId(GetUserId(), false)),
			 errhint("GRANT pg_read_server_files TO %s;", quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	PG_RETURN_VOID();
}

/* read_csv reads how CSV is written. */
static void
read_csv(const List *given, EtlCsvOptions *csv)
{
	const char *header = etl_endpoint_option(given, "header");
	const char *missing = etl_endpoint_option(given, "missing_columns");
	const char *null = etl_endpoint_option(given, "null");
	const char *encoding = etl_endpoint_option(given, "encoding");

	etl_csv_defaults(csv);
	if (header)
		csv->header = strcmp(header, "match") == 0	? ETL_CSV_MATCH
					  : strcmp(header, "skip") == 0 ? ETL_CSV_SKIP
													: ETL_CSV_NONE;
	csv->missing_is_null = missing && strcmp(missing, "null") == 0;
	csv->delimiter = etl_option_character(given, "delimiter", csv->delimiter);
	csv->quote = etl_option_character(given, "quote", csv->quote);
	csv->escape = etl_option_character(given, "escape", csv->quote);
	if (null)
		csv->null = pstrdup(null);
	if (encoding)
		csv->encoding = pg_char_to_encoding(encoding);
}

/* read_compression reads what files are compressed with. */
static EtlCompression
read_compression(const char *value)
{
	if (value == NULL || strcmp(value, "auto") == 0)
		return ETL_COMPRESSION_AUTO;
	if (strcmp(value, "none") == 0)
		return ETL_COMPRESSION_NONE;
	return strcmp(value, "gzip") == 0 ? ETL_COMPRESSION_GZIP : ETL_COMPRESSION_ZSTD;
}

/* etl_file_options collects what server, user mapping and table say. */
EtlFileOptions *
etl_file_options(const EtlSource *source, Oid user)
{
	EtlFileOptions *options = palloc0(sizeof(EtlFileOptions));
	const List *given = GetForeignTable(source->oid)->options;
	const char *format = etl_endpoint_option(given, "format");
	const char *prefix = etl_endpoint_option(given, "prefix");
	const char *pattern = etl_endpoint_option(given, "pattern");
	const char *most = etl_endpoint_option(given, "max_bytes");
	EtlEndpoint endpoint = {.server = source->server};

	etl_endpoint_read_mapping(&endpoint, user);
	options->server = GetForeignServer(source->server)->options;
	options->mapping = endpoint.mapping_options;
	options->prefix = pstrdup(prefix ? prefix : "");
	options->pattern = pattern ? pstrdup(pattern) : NULL;
	options->is_csv = format == NULL || strcmp(format, "csv") == 0;
	read_csv(given, &options->csv);
	options->compression = read_compression(etl_endpoint_option(given, "compression"));
	if (most)
		(void) etl_option_parse_size(most, &options->max_bytes);
	return options;
}
