/*
 * option.h
 *		Validators of our foreign data wrappers: which options there are, where each belongs, what it may be.
 *
 * Secrets belong in user mappings only, and no message shows one. Each wrapper has a table of its options and a validator
 * function that gives it to etl_option_check.
 */
#ifndef ETL_OPTION_H
#define ETL_OPTION_H

#include "nodes/pg_list.h"

/* An option: where it belongs, whether it must be given, and how its value is checked (NULL: any printable text). */
typedef struct EtlOption
{
	const char *name; /* a last '*' stands for any end of letters, digits and underscores */
	Oid catalog;	  /* ForeignServer-, UserMapping-, ForeignTable- or AttributeRelationId */
	bool required;
	bool (*is_valid)(const char *value);
	const char *hint; /* what is valid, a sentence */
	bool hidden;	  /* the value is never shown; that of a user mapping's option never is */
	bool lines;		  /* the value may have several lines */
} EtlOption;

/*
 * Checks the options of one object of a catalog as they will be after the statement, against a table that ends with a name
 * of NULL; returns them as a list of DefElem. Errors: HV00D (name), HV024 (value), HV00J (missing).
 */
extern List *etl_option_check(const EtlOption *option, Datum options, Oid catalog);

/* Refuses two options that exclude each other; HV00D. */
extern void etl_option_exclude(const List *given, const char *one, const char *other, const char *why,
							   const char *hint);

/* Checks of values that more than one wrapper needs. */
extern bool etl_option_is_time(const char *value);	/* '30 s', 100 ms to 10 min */
extern bool etl_option_is_wait(const char *value);	/* '30 s', 1 s to 24 h */
extern bool etl_option_is_bool(const char *value);	/* true or false */
extern bool etl_option_is_count(const char *value); /* an integer from 1 to 2147483647 */
extern bool etl_option_is_size(const char *value);	/* '64 MB', a number of bytes with its unit, at least 1 kB */
extern bool etl_option_is_port(const char *value);
extern bool etl_option_is_host(const char *value);	   /* a name or an address */
extern bool etl_option_is_base_url(const char *value); /* http(s)://host[:port][/path], nothing more */
extern bool etl_option_is_encoding(const char *value); /* a character set that PostgreSQL knows */

/* Whether a value is in a list of words that ends with NULL. */
extern bool etl_option_is_one_of(const char *value, const char *const *words);

/* Reads '64 MB' into bytes; false: it is none. */
extern bool etl_option_parse_size(const char *text, int64 *bytes);

/* Reads '30 s' into ms, which must lie between least and most; false: it is none. */
extern bool etl_option_parse_time(const char *text, int least, int most, int *ms);

/* The same for what may last long: 1 s to 24 h. */
extern bool etl_option_parse_wait(const char *text, int *ms);

/* An option of one character, where \t stands for a tab; without it otherwise. */
extern char etl_option_character(const List *given, const char *name, char otherwise);

#endif /* ETL_OPTION_H */
