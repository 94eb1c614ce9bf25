/*
 * stream.h
 *		One HTTP transfer whose body is read while it arrives: a file of any size in little memory.
 *
 * libcurl's callback copies into a bounded malloc'ed buffer and pauses the transfer when that is full. Everything that
 * transfer.h says about signals, interrupts, errors and transactions holds.
 */
#ifndef ETL_STREAM_H
#define ETL_STREAM_H

#include "net/transfer.h"

typedef struct EtlStream EtlStream;

/*
 * Sends the request and waits for status and headers of the answer. timeout is for the connection and the headers; stall is
 * the longest time without a byte after that. result->status and etl_transfer_header tell what came; result->ok is false when
 * there was no answer. The stream lives until etl_stream_close, which the caller calls in PG_FINALLY or when it closes a feed.
 */
extern EtlStream *etl_stream_open(const EtlTransferRequest *request, EtlTransferResult *result);

/*
 * Waits for bytes of the body and copies at most size of them; 0: the body is complete, as long as its Content-Length, or
 * its last chunk, said. Errors: 08006 when the connection ended before that, or nothing came for too long.
 */
extern size_t etl_stream_read(EtlStream *stream, char *buffer, size_t size);

/* Breaks off what still runs; may be NULL. Raises nothing. */
extern void etl_stream_close(EtlStream *stream);

#endif /* ETL_STREAM_H */
