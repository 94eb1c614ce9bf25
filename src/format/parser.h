/*
 * parser.h
 *		Bytes become records, records become rows: the formats of files and of answers over HTTP.
 *
 * A parser is given pieces of a document, each of which holds whole records only: cut says how many of some bytes those are.
 * So bytes may be fetched where no transaction is open, and turned into rows in one.
 */
#ifndef ETL_PARSER_H
#define ETL_PARSER_H

#include "format/input.h"

typedef struct EtlParser EtlParser;

typedef struct EtlParserRoutine
{
	/*
	 * How many of the bytes, which begin with a record, are whole records; 0: not one is. is_end: nothing comes behind
	 * them, so that they all are. Needs no transaction and raises nothing.
	 */
	size_t (*cut)(const EtlParser *parser, const char *bytes, size_t length, bool is_end);

	/* Begins a new document. */
	void (*begin)(EtlParser *parser);

	/* Takes the next piece, whose bytes stay where they are until it is used up. In a transaction. */
	void (*give)(EtlParser *parser, const char *bytes, size_t length);

	/*
	 * ETL_FEED_ROW, ETL_FEED_BAD (record, line and what else is known), or ETL_FEED_PAUSE: the piece is used up. extra as
	 * in record.h. Errors: 22P04 where the piece cannot be cut into records any further; the caller adds where.
	 */
	EtlFeedStep (*next)(EtlParser *parser, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad);
} EtlParserRoutine;

/* Parsers embed this as their first member. */
struct EtlParser
{
	const EtlParserRoutine *routine;
	int64 line;	   /* of the document, where the last record began */
	int64 records; /* of the document, so far */
	int64 skip;	   /* so many records at the beginning of the document are passed over; set after begin */
};

/* How a CSV file tells the names of its columns. */
typedef enum EtlCsvHeader
{
	ETL_CSV_MATCH, /* the first line names them: found by name, in any order */
	ETL_CSV_SKIP,  /* the first line is passed over: columns in the order of the foreign table */
	ETL_CSV_NONE   /* there is no such line */
} EtlCsvHeader;

typedef struct EtlCsvOptions
{
	EtlCsvHeader header;
	char delimiter;
	char quote;
	char escape;
	const char *null;	  /* an unquoted field with this text is NULL */
	int encoding;		  /* of the file */
	bool missing_is_null; /* columns that the header does not name are NULL; otherwise an error (22P04) */
} EtlCsvOptions;

/* Comma, double quotes, no text for NULL, the header matches, UTF8. */
extern void etl_csv_defaults(EtlCsvOptions *options);

/*
 * A parser of CSV, or of JSON records each on a line of its own. own: columns that the feed fills by itself, as in record.h.
 * In a transaction, in the current memory context, where it keeps what it needs.
 */
extern EtlParser *etl_csv_make(const EtlSource *source, EtlInput *input, const char *const *own,
							   const EtlCsvOptions *options);
extern EtlParser *etl_lines_make(const EtlSource *source, EtlInput *input, const char *const *own, int encoding);

#endif /* ETL_PARSER_H */
