/*
 * s3.h
 *		A bucket of S3, or of a service that speaks its protocol: lists of its objects, and their bytes.
 *
 * Nothing here needs a transaction but etl_s3_make. Requests that fail for a reason that may pass (5xx, 429, connections) are
 * tried again a few times, signed anew.
 */
#ifndef ETL_S3_H
#define ETL_S3_H

#include "datatype/timestamp.h"
#include "net/stream.h"
#include "nodes/pg_list.h"

typedef struct EtlS3
{
	MemoryContext context;
	char *scheme; /* https or http */
	char *host;	  /* with the port, as in the header Host */
	char *region;
	char *bucket;
	bool is_virtual;  /* the bucket is a part of the host's name */
	char *access_key; /* NULL: requests are not signed */
	char *secret_key;
	char *session_token;
	int timeout;
	int64 skew; /* seconds by which the server's clock is ahead of ours */
} EtlS3;

typedef struct EtlS3Object
{
	char *key;
	char *etag; /* without its quotes */
	int64 size;
	TimestampTz modified;
} EtlS3Object;

/* A part of a list. */
typedef struct EtlS3List
{
	int n;
	EtlS3Object *object; /* in the order of their keys */
	char *next;			 /* continuation token; NULL: this is the last part */
} EtlS3List;

/* From the options of a server and a user mapping (lists of DefElem). */
extern EtlS3 *etl_s3_make(const List *server, const List *mapping);

/*
 * The objects whose keys begin with prefix, up to 1000 from a token on (NULL: from the start); in the current memory context.
 * Errors: 28000 (refused), HV00R (no such bucket), 08006 (may pass), HV000.
 */
extern void etl_s3_list(EtlS3 *s3, const char *prefix, const char *token, EtlS3List *list);

/*
 * The bytes of an object as it was listed. Errors: as above, ZE007 when it has changed or gone since. Close the stream.
 * *is_md5: its ETag is the MD5 of its bytes.
 */
extern EtlStream *etl_s3_open(EtlS3 *s3, const EtlS3Object *object, bool *is_md5);

#endif /* ETL_S3_H */
