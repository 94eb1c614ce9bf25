/*
 * sigv4.h
 *		Signatures of requests to S3, version 4 (AWS4-HMAC-SHA256). Pure: text in, text out.
 *
 * Source: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)" in the S3 API reference.
 */
#ifndef ETL_SIGV4_H
#define ETL_SIGV4_H

#include "etl_ext.h"

/* SHA-256 of nothing: the hash of a body that is empty. */
#define ETL_SIGV4_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* A name and its value, neither of them encoded. */
typedef struct EtlSigv4Pair
{
	const char *name;
	const char *value;
} EtlSigv4Pair;

typedef struct EtlSigv4Request
{
	const char *method;
	const char *path; /* from the first "/" on, not encoded */
	int n_query;
	const EtlSigv4Pair *query;
	int n_header; /* those that are signed; names in lower case: host, x-amz-date, ... */
	const EtlSigv4Pair *header;
	const char *payload; /* hash of the body in hexadecimal, or UNSIGNED-PAYLOAD */
	const char *time;	 /* YYYYMMDD'T'HHMMSS'Z' */
	const char *region;
	const char *service; /* s3 */
	const char *access_key;
	const char *secret_key;
} EtlSigv4Request;

/* The query string, encoded and in canonical order: what has to be sent. */
extern char *etl_sigv4_query(const EtlSigv4Request *request);

/* The value of the header Authorization. */
extern char *etl_sigv4_sign(const EtlSigv4Request *request);

/* A time as the signature wants it; time: seconds since 1970. */
extern char *etl_sigv4_time(pg_time_t time);

#endif /* ETL_SIGV4_H */
