/*
 * failure.h
 *		Why a page could not be had: kept until the pages before it were given out, then raised.
 */
#ifndef ETL_HTTP_FAILURE_H
#define ETL_HTTP_FAILURE_H

typedef struct EtlHttpFailure
{
	int sqlstate; /* as errcode() takes it */
	const char *message;
	const char *detail; /* NULL: none */
	const char *hint;	/* NULL: none */
} EtlHttpFailure;

/* Raises it. */
extern void etl_http_failure_raise(const EtlHttpFailure *failure) pg_attribute_noreturn();

#endif /* ETL_HTTP_FAILURE_H */
