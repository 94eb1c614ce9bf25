/*
 * table.h
 *		A foreign table of etl_http as its feed sees it: the options of server, user mapping and table, read and checked
 *		against each other. options.c has checked each of them when it was set.
 */
#ifndef ETL_HTTP_TABLE_H
#define ETL_HTTP_TABLE_H

#include "feed/feed.h"

#define ETL_HTTP_MOST_BYTES (256 * 1024 * 1024)
#define ETL_HTTP_MOST_PARALLEL 32

typedef enum EtlHttpAuth
{
	ETL_HTTP_NONE,
	ETL_HTTP_BASIC,
	ETL_HTTP_BEARER,
	ETL_HTTP_API_KEY,
	ETL_HTTP_OAUTH2
} EtlHttpAuth;

typedef enum EtlHttpPaging
{
	ETL_HTTP_ONE,	 /* everything in one answer */
	ETL_HTTP_PAGE,	 /* by the number of the page */
	ETL_HTTP_OFFSET, /* by the number of records before it */
	ETL_HTTP_CURSOR, /* by a value in the page before */
	ETL_HTTP_URL,	 /* by an address in the page before */
	ETL_HTTP_LINK	 /* by an address in the headers of the page before */
} EtlHttpPaging;

typedef enum EtlHttpFormat
{
	ETL_HTTP_JSON,
	ETL_HTTP_NDJSON,
	ETL_HTTP_CSV
} EtlHttpFormat;

typedef struct EtlHttpTable
{
	/* server */
	Oid server;
	const char *base_url;
	EtlHttpAuth auth;
	const char *api_key_name;
	bool api_key_in_query;
	const char *token_url;
	bool token_by_body;
	const char *scope;
	const char *audience;
	const char *accept;
	double rate;	 /* requests per second; 0: no limit */
	int timeout;	 /* ms */
	int max_time;	 /* ms for everything */
	int max_pages;	 /* for everything */
	int64 max_bytes; /* of an answer */
	int max_redirects;

	/* user mapping: secret */
	const char *token;
	const char *user;
	const char *password;
	const char *api_key;
	const char *client_id;
	const char *client_secret;
	EtlNames header; /* "Name: value" */
	EtlNames secret; /* every value of the mapping, to be left out of messages */

	/* foreign table */
	const char *path;
	const char *params; /* query string, without "?"; NULL: none */
	bool is_post;
	Jsonb *body; /* object; NULL: none */
	EtlHttpFormat format;
	const char *records; /* NULL: not given */
	EtlHttpPaging paging;
	const char *cursor_param;
	const char *next;
	const char *total;
	const char *error_path;
	const char *number_param; /* of pages or offsets */
	int first_page;
	int page_size; /* 0: not known */
	const char *page_size_param;
	int parallel;
	const char *since_param;
	const char *until_param;
	const char *since_column;
	const char *since_format;
	const char *for_each;
	List *options; /* of the table, as they are */
} EtlHttpTable;

/* Reads the options, in the current memory context; in a transaction. Errors: HV00J, 42704 for what a mapping lacks. */
extern EtlHttpTable *etl_http_table_read(const EtlSource *source, Oid user);

/* The same without the user mapping, for explain and define. */
extern EtlHttpTable *etl_http_table_look(const EtlSource *source);

/* A text with every secret of the table replaced, in the current memory context. */
extern char *etl_http_table_redact(const EtlHttpTable *table, const char *text);

/* Reads '10/s' into requests per second; false: it is none. */
extern bool etl_http_parse_rate(const char *text, double *rate);

/* Raises the error (HV00D) for an option that does not fit to others. */
extern void etl_http_refuse_option(const char *name, const char *why) pg_attribute_noreturn();

#endif /* ETL_HTTP_TABLE_H */
