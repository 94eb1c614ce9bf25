/*
 * document.h
 *		An answer: where its records are, and what stands around them.
 *
 * JSON is cut into records by its brackets and strings alone, so that a record which is no JSON is bad by itself; what is
 * around the records (the envelope) is parsed. A jsonpath with more than names and a last [*] is evaluated on the whole
 * document instead. Needs no transaction.
 */
#ifndef ETL_HTTP_DOCUMENT_H
#define ETL_HTTP_DOCUMENT_H

#include "http/failure.h"
#include "http/table.h"

typedef struct EtlHttpDocument
{
	const char *text; /* as it came, in UTF-8; lives as long as the answer */
	size_t length;
	int n; /* records; of CSV, lines without the header */
	int room;
	const char **record; /* JSON: where each begins in text; NULL: items */
	int *record_length;
	Jsonb **item;
	Jsonb *envelope; /* NULL: nothing asks for it */
	uint64 hash;	 /* of the records */
} EtlHttpDocument;

/* What all answers of a read need; made in a transaction, in the current memory context. */
typedef struct EtlHttpReader EtlHttpReader;
extern EtlHttpReader *etl_http_document_prepare(const EtlHttpTable *table);

/* Cuts an answer, in the current memory context. NULL, or why it is none: ZE007 where it ends early, 22P02. */
extern EtlHttpFailure *etl_http_document_read(const EtlHttpReader *reader, const char *text, size_t length,
											  EtlHttpDocument *document);

/* What a path of the table finds around the records, as text; NULL: nothing, null, false or an empty text. */
extern char *etl_http_document_next(const EtlHttpReader *reader, const EtlHttpDocument *document);
extern char *etl_http_document_error(const EtlHttpReader *reader, const EtlHttpDocument *document);

/* How many records there are on all pages; -1: not known. */
extern int64 etl_http_document_total(const EtlHttpReader *reader, const EtlHttpDocument *document);

#endif /* ETL_HTTP_DOCUMENT_H */
