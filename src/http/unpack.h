/*
 * unpack.h
 *		Answers that come compressed. libcurl would unpack them, but takes compressed data that end early for complete.
 */
#ifndef ETL_HTTP_UNPACK_H
#define ETL_HTTP_UNPACK_H

#include "http/failure.h"
#include "http/table.h"
#include "net/transfer.h"

/* The header that says what can be unpacked. */
#define ETL_HTTP_ACCEPT_ENCODING "Accept-Encoding: gzip"

/* Replaces a compressed answer by what is in it, in the current memory context; otherwise does nothing. NULL, or why not. */
extern EtlHttpFailure *etl_http_unpack(const EtlHttpTable *table, EtlTransferResult *result);

#endif /* ETL_HTTP_UNPACK_H */
