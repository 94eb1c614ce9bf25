/*
 * document.c
 *		An answer: where its records are, and what stands around them. See document.h.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "errors.h"
#include "fmgr.h"
#include "format/record.h"
#include "http/document.h"
#include "http/scan.h"
#include "mb/pg_wchar.h"
#include "net/endpoint.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

struct EtlHttpReader
{
	const EtlHttpTable *table;
	EtlHttpSteps *steps; /* NULL: records is evaluated as a jsonpath */
	bool records_given;
	Datum records;
	Datum next; /* 0: not given */
	Datum total;
	Datum error;
	bool wants_envelope;
	FmgrInfo *convert; /* from UTF8; NULL: the database is in UTF8, or has no encoding */
};

/* path_of parses a path that may be missing. */
static Datum
path_of(const char *path)
{
	return path != NULL ? etl_record_path(path) : (Datum) 0;
}

/* etl_http_document_prepare parses the paths and looks for the conversion of texts. */
EtlHttpReader *
etl_http_document_prepare(const EtlHttpTable *table)
{
	EtlHttpReader *reader = palloc0(sizeof(EtlHttpReader));
	Oid function;

	reader->table = table;
	reader->records_given = table->records != NULL;
	reader->steps = etl_http_scan_steps(table->records != NULL ? table->records : "$[*]");
	reader->records = path_of(table->records != NULL ? table->records : "$[*]");
	reader->next = path_of(table->next);
	reader->total = path_of(table->total);
	reader->error = path_of(table->error_path);
	reader->wants_envelope = table->next || table->total || table->error_path;
	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return reader;
	function = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());
	if (OidIsValid(function))
	{
		reader->convert = palloc0(sizeof(FmgrInfo));
		fmgr_info(function, reader->convert);
	}
	return reader;
}

/* fail makes a failure. */
static EtlHttpFailure *
fail(int sqlstate, const char *message, const char *detail)
{
	EtlHttpFailure *failure = palloc0(sizeof(EtlHttpFailure));

	failure->sqlstate = sqlstate;
	failure->message = message;
	failure->detail = detail;
	return failure;
}

/* ends_early is the failure of an answer that stops in the middle. */
static EtlHttpFailure *
ends_early(size_t length)
{
	return fail(ERRCODE_ETL_SHORT_READ, "an answer ends early",
				psprintf("Its JSON is not complete after %zu bytes.", length));
}

/* convert makes a text of the database's encoding of one in UTF-8; NULL: it is none. */
static char *
convert(const EtlHttpReader *reader, const char *text, size_t length)
{
	char *result;
	int most = (int) Min(length * MAX_CONVERSION_GROWTH + 1, MaxAllocSize);
	int done;

	if (memchr(text, '\0', length) != NULL ||
		(GetDatabaseEncoding() != PG_SQL_ASCII && !pg_verify_mbstr(PG_UTF8, text, (int) length, true)))
		return NULL;
	if (reader->convert == NULL)
		return pnstrdup(text, length);
	result = palloc(most);
	done = DatumGetInt32(FunctionCall6(reader->convert, Int32GetDatum(PG_UTF8), Int32GetDatum(GetDatabaseEncoding()),
									   CStringGetDatum(pnstrdup(text, length)), CStringGetDatum(result),
									   Int32GetDatum((int) length), BoolGetDatum(true)));
	return done == length ? result : NULL;
}

/* parse makes a jsonb of a text in UTF-8; NULL: *failure says why. */
static Jsonb *
parse(const EtlHttpReader *reader, const char *text, size_t length, EtlHttpFailure **failure)
{
	char *converted = convert(reader, text, length);
	EtlBadRow bad = {0};
	bool early = false;
	Jsonb *json;

	if (converted == NULL)
	{
		*failure = fail(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, "an answer is no text that the database can hold",
						"It is not valid in UTF-8, or has characters that the database's encoding lacks.");
		return NULL;
	}
	json = etl_record_parse(converted, (int) strlen(converted), &bad, &early);
	if (json == NULL)
		*failure = early ? ends_early(length) : fail(bad.sqlstate, bad.reason, "It is in what is around the records.");
	return json;
}

/* take_items evaluates records on the whole document. */
static EtlHttpFailure *
take_items(const EtlHttpReader *reader, EtlHttpDocument *document)
{
	LOCAL_FCINFO(call, 4);
	EtlHttpFailure *failure = NULL;
	Jsonb *whole = parse(reader, document->text, document->length, &failure);
	JsonbIterator *it;
	JsonbValue value;
	JsonbIteratorToken token;
	Jsonb *found;

	if (whole == NULL)
		return failure;
	InitFunctionCallInfoData(*call, NULL, 4, InvalidOid, NULL, NULL);
	call->args[0].value = JsonbPGetDatum(whole);
	call->args[1].value = reader->records;
	call->args[2].value = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
	call->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		call->args[i].isnull = false;
	found = DatumGetJsonbP(jsonb_path_query_array(call));
	document->envelope = whole;
	document->hash = hash_bytes_extended((const unsigned char *) found, VARSIZE(found), 0);
	document->item = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Jsonb *) * Max(JB_ROOT_COUNT(found), 1));
	it = JsonbIteratorInit(&found->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			document->item[document->n++] = JsonbValueToJsonb(&value);
	return NULL;
}

/* hash_records combines the bytes of all records. */
static uint64
hash_records(const EtlHttpDocument *document)
{
	uint64 hash = 0;

	for (int i = 0; i < document->n; i++)
		hash = hash_combine64(
			hash, hash_bytes_extended((const unsigned char *) document->record[i], document->record_length[i], 0));
	return hash;
}

/* cut cuts a document of JSON into records. */
static EtlHttpFailure *
cut(const EtlHttpReader *reader, EtlHttpDocument *document)
{
	EtlHttpScan scan = {.text = document->text, .length = document->length, .steps = reader->steps};
	EtlHttpFailure *failure = NULL;

	switch (etl_http_scan(&scan, !reader->records_given))
	{
		case ETL_HTTP_SCAN_EARLY:
			return ends_early(document->length);
		case ETL_HTTP_SCAN_BAD:
			return fail(ERRCODE_INVALID_TEXT_REPRESENTATION, "an answer is no JSON",
						psprintf("It goes wrong behind %zu bytes.", scan.position));
		case ETL_HTTP_SCAN_MISSING:
			if (reader->error != (Datum) 0)
			{
				/* Perhaps it says what is wrong. */
				document->envelope = parse(reader, document->text, document->length, &failure);
				if (document->envelope != NULL && etl_http_document_error(reader, document) != NULL)
					return NULL;
			}
			return fail(ERRCODE_ETL_SHORT_READ, "an answer has no records where they should be",
						psprintf("There is nothing at %s.", reader->table->records));
		case ETL_HTTP_SCAN_FOUND:
			break;
	}
	document->n = scan.n;
	document->record = scan.record;
	document->record_length = scan.record_length;
	document->hash = hash_records(document);
	/* What is around the records is looked at even where nothing asks for it: it must be JSON. */
	if (reader->wants_envelope || (scan.envelope != NULL && scan.steps->n > 0))
	{
		const char *around = scan.envelope != NULL ? scan.envelope : document->text;

		document->envelope = parse(reader, around, scan.envelope != NULL ? strlen(around) : document->length, &failure);
	}
	return failure;
}

/* count_lines counts the lines that are not empty. */
static int
count_lines(const char *text, size_t length)
{
	const char *end = text + length;
	int n = 0;

	while (text < end)
	{
		const char *line_end = memchr(text, '\n', end - text);
		const char *stop = line_end != NULL ? line_end : end;

		n += stop > text && !(stop == text + 1 && *text == '\r');
		text = stop + 1;
	}
	return n;
}

/* etl_http_document_read cuts an answer. */
EtlHttpFailure *
etl_http_document_read(const EtlHttpReader *reader, const char *text, size_t length, EtlHttpDocument *document)
{
	const char *header = etl_endpoint_option(reader->table->options, "header");

	memset(document, 0, sizeof(*document));
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
	{
		text += 3;
		length -= 3;
	}
	document->text = text;
	document->length = length;
	if (reader->table->format == ETL_HTTP_JSON)
		return reader->steps != NULL ? cut(reader, document) : take_items(reader, document);
	document->n = count_lines(text, length);
	if (reader->table->format == ETL_HTTP_CSV && (header == NULL || strcmp(header, "false") != 0) && document->n > 0)
		document->n--;
	document->hash = hash_bytes_extended((const unsigned char *) text, (int) Min(length, PG_INT32_MAX), 0);
	return NULL;
}

/* text_of returns what a path finds as text. */
static char *
text_of(Datum path, const EtlHttpDocument *document)
{
	Jsonb *item;
	JsonbValue value;
	char *text;

	if (path == (Datum) 0 || document->envelope == NULL)
		return NULL;
	item = etl_record_first(document->envelope, path);
	if (item == NULL)
		return NULL;
	if (!JsonbExtractScalar(&item->root, &value))
		return JsonbToCString(NULL, &item->root, VARSIZE(item));
	if (value.type == jbvNull || (value.type == jbvBool && !value.val.boolean))
		return NULL;
	if (value.type == jbvString)
		text = pnstrdup(value.val.string.val, value.val.string.len);
	else
		text = JsonbToCString(NULL, &item->root, VARSIZE(item));
	return text[0] != '\0' ? text : NULL;
}

/* etl_http_document_next looks for the next page. */
char *
etl_http_document_next(const EtlHttpReader *reader, const EtlHttpDocument *document)
{
	return text_of(reader->next, document);
}

/* etl_http_document_error looks for an error. */
char *
etl_http_document_error(const EtlHttpReader *reader, const EtlHttpDocument *document)
{
	return text_of(reader->error, document);
}

/* etl_http_document_total looks for the number of records. */
int64
etl_http_document_total(const EtlHttpReader *reader, const EtlHttpDocument *document)
{
	char *text = text_of(reader->total, document);
	char *end;
	int64 total;

	if (text == NULL)
		return -1;
	total = strtoll(text, &end, 10);
	return *end == '\0' && total >= 0 ? total : -1;
}
