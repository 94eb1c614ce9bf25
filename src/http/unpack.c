/*
 * unpack.c
 *		Answers that come compressed. See unpack.h.
 */
#include "postgres.h"

#include "errors.h"
#include "format/decompress.h"
#include "http/unpack.h"
#include "utils/memutils.h"

/* Bytes for which there is room at first. */
#define FIRST_ROOM 65536

/* What is left of the compressed answer. */
typedef struct Rest
{
	const char *bytes;
	size_t length;
} Rest;

/* read_rest gives the compressed bytes. */
static size_t
read_rest(void *arg, char *buffer, size_t size)
{
	Rest *rest = arg;
	size_t n = Min(size, rest->length);

	memcpy(buffer, rest->bytes, n);
	rest->bytes += n;
	rest->length -= n;
	return n;
}

/* unpack reads the stream to its end. */
static void
unpack(EtlDecompress *stream, EtlTransferResult *result)
{
	size_t room = FIRST_ROOM;
	size_t length = 0;
	char *bytes = palloc(room);
	size_t n;

	while ((n = etl_decompress_read(stream, bytes + length, room - length - 1)) > 0)
	{
		length += n;
		if (length + 1 < room)
			continue;
		room *= 2;
		bytes = repalloc_huge(bytes, room);
	}
	bytes[length] = '\0';
	pfree(result->answer);
	result->answer = bytes;
	result->length = length;
}

/* take_error makes a failure of an error about the data; all others are raised again. */
static EtlHttpFailure *
take_error(MemoryContext context)
{
	EtlHttpFailure *failure = palloc0(sizeof(EtlHttpFailure));
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (error->sqlerrcode != ERRCODE_ETL_SHORT_READ && error->sqlerrcode != ERRCODE_BAD_COPY_FILE_FORMAT &&
		error->sqlerrcode != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		PG_RE_THROW();
	FlushErrorState();
	failure->sqlstate = error->sqlerrcode;
	failure->message = error->message;
	failure->detail = error->detail != NULL ? error->detail : "The answer is compressed with gzip.";
	failure->hint = error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED
						? "Set max_bytes on the foreign table, or page_size."
						: error->hint;
	return failure;
}

/* etl_http_unpack unpacks gzip. */
EtlHttpFailure *
etl_http_unpack(const EtlHttpTable *table, EtlTransferResult *result)
{
	MemoryContext context = CurrentMemoryContext;
	char *encoding = etl_transfer_header(result, "Content-Encoding");
	Rest rest = {result->answer, result->length};
	EtlHttpFailure *volatile failure = NULL;
	EtlDecompress *volatile stream = NULL;

	if (encoding == NULL || pg_strcasecmp(encoding, "identity") == 0 || result->length == 0)
		return NULL;
	if (pg_strcasecmp(encoding, "gzip") != 0 && pg_strcasecmp(encoding, "x-gzip") != 0)
	{
		failure = palloc0(sizeof(EtlHttpFailure));
		failure->sqlstate = ERRCODE_FDW_ERROR;
		failure->message = "an answer is compressed in a way that was not asked for";
		failure->detail = "Its header Content-Encoding is neither gzip nor identity.";
		return failure;
	}
	PG_TRY();
	{
		stream = etl_decompress_open(ETL_COMPRESSION_GZIP, "the answer", table->max_bytes, read_rest, &rest);
		unpack(stream, result);
	}
	PG_CATCH();
	{
		etl_decompress_close(stream);
		stream = NULL;
		MemoryContextSwitchTo(context);
		failure = take_error(context);
	}
	PG_END_TRY();
	etl_decompress_close(stream);
	return failure;
}
