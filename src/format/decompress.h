/*
 * decompress.h
 *		Bytes as they come, or what is compressed in them: gzip (also several members in one file) and zstd (several frames).
 *
 * Streams of any length in little memory. What zlib and libzstd need is malloc'ed and freed by etl_decompress_close.
 */
#ifndef ETL_DECOMPRESS_H
#define ETL_DECOMPRESS_H

#include "c.h"

typedef enum EtlCompression
{
	ETL_COMPRESSION_AUTO, /* what the first bytes say */
	ETL_COMPRESSION_NONE,
	ETL_COMPRESSION_GZIP,
	ETL_COMPRESSION_ZSTD
} EtlCompression;

/* Gives at most size bytes; 0: there are no more. May raise errors. */
typedef size_t (*EtlReadBytes)(void *arg, char *buffer, size_t size);

typedef struct EtlDecompress EtlDecompress;

/* A stream over what read gives; name: for errors. most: of decoded bytes, 0: no limit. In the current memory context. */
extern EtlDecompress *etl_decompress_open(EtlCompression compression, const char *name, int64 most, EtlReadBytes read,
										  void *arg);

/*
 * The next decoded bytes; 0: the end. Errors: ZE007 when what is compressed ends early, 22P04 when it is damaged or of
 * another kind, 54000 when there is more than most.
 */
extern size_t etl_decompress_read(EtlDecompress *stream, char *buffer, size_t size);

/* Frees; may be NULL. Raises nothing. */
extern void etl_decompress_close(EtlDecompress *stream);

#endif /* ETL_DECOMPRESS_H */
