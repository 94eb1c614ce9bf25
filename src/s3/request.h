/*
 * request.h
 *		One signed request to S3, and what its answer means. Used by s3.c only.
 */
#ifndef ETL_S3_REQUEST_H
#define ETL_S3_REQUEST_H

#include "s3/s3.h"
#include "s3/sigv4.h"

typedef struct EtlS3Request
{
	EtlS3 *s3;
	const char *key; /* NULL: the bucket itself */
	int n_query;
	const EtlSigv4Pair *query;
	const char *if_match; /* ETag; NULL: any */
	int tries;			  /* so far */
	bool is_adjusted;	  /* to the server's clock */
} EtlS3Request;

/* Fills in url and headers, signed for now. */
extern void etl_s3_request_sign(const EtlS3Request *request, EtlTransferRequest *transfer);

/*
 * Whether an answer is good (200). False: it was not, and after a pause the request may be signed and sent again. Raises the
 * error when it may not, or not any more. body: of the answer, as far as it is known; NULL: it was not read.
 */
extern bool etl_s3_request_is_good(EtlS3Request *request, const EtlTransferResult *result, const char *body);

#endif /* ETL_S3_REQUEST_H */
