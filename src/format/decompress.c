/*
 * decompress.c
 *		Compressed streams. See decompress.h.
 *
 * An end is believed only between two members or frames: what is cut off inside one is an error, never a shorter file.
 */
#include "postgres.h"

#include <zlib.h>
#include <zstd.h>

#include "errors.h"
#include "format/decompress.h"
#include "miscadmin.h"

#define BUFFER_SIZE 65536

/* The largest window of zstd: 64 MB, so that an executor stays within its memory. */
#define WINDOW_LOG 26

struct EtlDecompress
{
	EtlCompression compression;
	char *name;
	int64 most;
	int64 decoded;
	EtlReadBytes read;
	void *arg;
	char *buffer; /* of what read gave */
	size_t start;
	size_t end;
	bool source_ended;
	bool is_inside; /* of a member or frame */
	z_stream zlib;
	bool has_zlib;
	ZSTD_DStream *zstd;
};

/* refuse raises the error for a stream that cannot be decoded. */
static void
pg_attribute_noreturn() refuse(const EtlDecompress *stream, int sqlstate, const char *what, const char *detail)
{
	ereport(ERROR, (errcode(sqlstate), errmsg("%s %s", stream->name, what), errdetail("%s", detail),
					sqlstate == ERRCODE_PROGRAM_LIMIT_EXCEEDED
						? errhint("If it is what it should be, raise max_bytes.")
						: errhint("Check the file at its source, and the option compression.")));
}

/* fill reads more when the buffer is empty. */
static void
fill(EtlDecompress *stream)
{
	if (stream->start < stream->end || stream->source_ended)
		return;
	stream->start = 0;
	stream->end = stream->read(stream->arg, stream->buffer, BUFFER_SIZE);
	stream->source_ended = stream->end == 0;
}

/* fill_magic reads until there are the bytes that tell what a stream is. */
static void
fill_magic(EtlDecompress *stream)
{
	while (!stream->source_ended && stream->end < 4)
	{
		size_t n = stream->read(stream->arg, stream->buffer + stream->end, BUFFER_SIZE - stream->end);

		stream->source_ended = n == 0;
		stream->end += n;
	}
}

/* detect looks at the first bytes. */
static EtlCompression
detect(EtlDecompress *stream)
{
	fill_magic(stream);
	if (stream->end >= 3 && memcmp(stream->buffer, "\x1f\x8b\x08", 3) == 0)
		return ETL_COMPRESSION_GZIP;
	if (stream->end >= 4 && memcmp(stream->buffer, "\x28\xb5\x2f\xfd", 4) == 0)
		return ETL_COMPRESSION_ZSTD;
	return ETL_COMPRESSION_NONE;
}

/* begin prepares the library. */
static void
begin(EtlDecompress *stream)
{
	if (stream->compression == ETL_COMPRESSION_AUTO)
		stream->compression = detect(stream);
	if (stream->compression == ETL_COMPRESSION_GZIP && !stream->has_zlib)
		stream->has_zlib = inflateInit2(&stream->zlib, 16 + MAX_WBITS) == Z_OK;
	if (stream->compression == ETL_COMPRESSION_ZSTD && stream->zstd == NULL)
	{
		stream->zstd = ZSTD_createDStream();
		if (stream->zstd && ZSTD_isError(ZSTD_DCtx_setParameter(stream->zstd, ZSTD_d_windowLogMax, WINDOW_LOG)))
			elog(ERROR, "libzstd does not know a limit of windows");
	}
	if ((stream->compression == ETL_COMPRESSION_GZIP && !stream->has_zlib) ||
		(stream->compression == ETL_COMPRESSION_ZSTD && stream->zstd == NULL))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("Decompressing %s needed more.", stream->name)));
}

/* etl_decompress_open prepares; what kind of stream it is, is found when it is read first. */
EtlDecompress *
etl_decompress_open(EtlCompression compression, const char *name, int64 most, EtlReadBytes read, void *arg)
{
	EtlDecompress *stream = palloc0(sizeof(EtlDecompress));

	stream->compression = compression;
	stream->name = pstrdup(name);
	stream->most = most;
	stream->read = read;
	stream->arg = arg;
	stream->buffer = palloc(BUFFER_SIZE);
	return stream;
}

/* copy hands on bytes that are not compressed. */
static size_t
copy(EtlDecompress *stream, char *buffer, size_t size)
{
	size_t n;

	/* A reader that asks for much gets it without a detour. */
	if (stream->start == stream->end && size >= BUFFER_SIZE && !stream->source_ended)
		return stream->read(stream->arg, buffer, size);
	fill(stream);
	n = Min(size, stream->end - stream->start);
	memcpy(buffer, stream->buffer + stream->start, n);
	stream->start += n;
	return n;
}

/* inflate_some decodes what is there with zlib; returns the decoded bytes. */
static size_t
inflate_some(EtlDecompress *stream, char *buffer, size_t size)
{
	z_stream *zlib = &stream->zlib;
	int code;

	if (!stream->is_inside)
		(void) inflateReset(zlib);
	stream->is_inside = true;
	zlib->next_in = (Bytef *) stream->buffer + stream->start;
	zlib->avail_in = (uInt) (stream->end - stream->start);
	zlib->next_out = (Bytef *) buffer;
	zlib->avail_out = (uInt) Min(size, PG_INT32_MAX);
	code = inflate(zlib, Z_NO_FLUSH);
	stream->start = stream->end - zlib->avail_in;
	if (code == Z_STREAM_END)
		stream->is_inside = false;
	else if (code != Z_OK && code != Z_BUF_ERROR)
		refuse(stream, ERRCODE_BAD_COPY_FILE_FORMAT, "is damaged",
			   psprintf("zlib says: %s.", zlib->msg ? zlib->msg : zError(code)));
	return (size_t) (zlib->next_out - (Bytef *) buffer);
}

/* expand_some decodes what is there with libzstd; returns the decoded bytes. */
static size_t
expand_some(EtlDecompress *stream, char *buffer, size_t size)
{
	ZSTD_inBuffer in = {stream->buffer, stream->end, stream->start};
	ZSTD_outBuffer out = {buffer, size, 0};
	size_t code = ZSTD_decompressStream(stream->zstd, &out, &in);

	if (ZSTD_isError(code))
		refuse(stream, ERRCODE_BAD_COPY_FILE_FORMAT, "is damaged",
			   psprintf("libzstd says: %s.", ZSTD_getErrorName(code)));
	stream->start = in.pos;
	stream->is_inside = code != 0;
	return out.pos;
}

/* decode reads and decodes until something comes out. */
static size_t
decode(EtlDecompress *stream, char *buffer, size_t size)
{
	size_t n = 0;

	while (n == 0)
	{
		CHECK_FOR_INTERRUPTS();
		fill(stream);
		if (stream->source_ended && stream->start == stream->end)
		{
			/* libzstd may hold decoded bytes back; zlib's are in its window. */
			if (stream->is_inside && stream->compression == ETL_COMPRESSION_ZSTD)
				n = expand_some(stream, buffer, size);
			else if (stream->is_inside)
				n = inflate_some(stream, buffer, size);
			if (n > 0 || !stream->is_inside)
				break;
			refuse(stream, ERRCODE_ETL_SHORT_READ, "ends early", "What is compressed in it is not complete.");
		}
		if (stream->compression == ETL_COMPRESSION_GZIP)
			n = inflate_some(stream, buffer, size);
		else
			n = expand_some(stream, buffer, size);
	}
	return n;
}

/* etl_decompress_read gives the next bytes. */
size_t
etl_decompress_read(EtlDecompress *stream, char *buffer, size_t size)
{
	size_t n;

	begin(stream);
	if (stream->compression == ETL_COMPRESSION_NONE)
		n = copy(stream, buffer, size);
	else
		n = decode(stream, buffer, size);
	stream->decoded += n;
	if (stream->most > 0 && stream->decoded > stream->most)
		refuse(stream, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "is too large",
			   psprintf("It has more than " INT64_FORMAT " bytes when it is decompressed.", stream->most));
	return n;
}

/* etl_decompress_close frees what is not in a memory context. */
void
etl_decompress_close(EtlDecompress *stream)
{
	if (stream == NULL)
		return;
	if (stream->has_zlib)
		(void) inflateEnd(&stream->zlib);
	stream->has_zlib = false;
	(void) ZSTD_freeDStream(stream->zstd);
	stream->zstd = NULL;
}
