/*
 * csv_copy.h
 *		CSV records become fields: COPY's parser over pieces of a document. Used by csv.c only.
 */
#ifndef ETL_CSV_COPY_H
#define ETL_CSV_COPY_H

#include "commands/copy.h"
#include "format/parser.h"

typedef struct EtlCsvCopy
{
	const EtlCsvOptions *options;
	Oid relid;			   /* COPY wants to know a relation */
	bool checks_fields;	   /* COPY does not know the encoding: whoever takes the fields checks them */
	bool is_checked;	   /* all of this piece is text of the database's encoding */
	MemoryContext context; /* of COPY's state */
	CopyFromState state;   /* NULL: no piece */
	const char *bytes;	   /* the piece */
	size_t length;
	size_t taken; /* of it, by COPY */
	char zero;	  /* stands for \0 in fields of this piece; \0: there is none */
	int64 lines;  /* of the document, before the bytes */
	int64 *line;  /* set before a record is read: where it begins */
} EtlCsvCopy;

/* Makes a context below the current one. */
extern void etl_csv_copy_make(EtlCsvCopy *copy, const EtlCsvOptions *options, Oid relid, int64 *line);

/* As EtlParserRoutine's. */
extern size_t etl_csv_copy_cut(const EtlCsvOptions *options, const char *bytes, size_t length, bool is_end);
extern void etl_csv_copy_begin(EtlCsvCopy *copy);
extern void etl_csv_copy_give(EtlCsvCopy *copy, const char *bytes, size_t length);

/* The fields of the next record, which may be changed and live until the next call; false: the piece is used up. */
extern bool etl_csv_copy_next(EtlCsvCopy *copy, char ***fields, int *n);

#endif /* ETL_CSV_COPY_H */
