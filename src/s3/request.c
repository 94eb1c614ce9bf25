/*
 * request.c
 *		Signed requests to S3. See request.h.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "errors.h"
#include "miscadmin.h"
#include "net/url.h"
#include "pgstat.h"
#include "s3/request.h"
#include "s3/xml.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#define MOST_TRIES 4

/* First pause before a request is sent again, in ms; each one is three times as long as the one before. */
#define FIRST_PAUSE 200

#define MOST_HEADERS 6

/* Longest text of an answer that an error shows. */
#define MOST_SHOWN 300

/* host_of returns the host with the bucket in it, where it belongs there. */
static char *
host_of(const EtlS3 *s3)
{
	return s3->is_virtual ? psprintf("%s.%s", s3->bucket, s3->host) : pstrdup(s3->host);
}

/* path_of returns the path, not encoded. */
static char *
path_of(const EtlS3Request *request)
{
	const EtlS3 *s3 = request->s3;

	return psprintf("%s%s/%s", s3->is_virtual ? "" : "/", s3->is_virtual ? "" : s3->bucket,
					request->key ? request->key : "");
}

/* add_header adds a header to what is sent and, if it is signed, to what is signed. */
static void
add_header(EtlTransferRequest *transfer, EtlSigv4Pair *pairs, int *n, const char *name, const char *value)
{
	pairs[(*n)++] = (EtlSigv4Pair){name, value};
	/* libcurl sends Host by itself, the same one. */
	if (strcmp(name, "host") != 0)
		transfer->header.name[transfer->header.n++] = psprintf("%s: %s", name, value);
}

/* etl_s3_request_sign signs with the time of the server's clock, as far as it is known. */
void
etl_s3_request_sign(const EtlS3Request *request, EtlTransferRequest *transfer)
{
	const EtlS3 *s3 = request->s3;
	EtlSigv4Pair pairs[MOST_HEADERS];
	EtlSigv4Request sign = {.method = "GET",
							.path = path_of(request),
							.n_query = request->n_query,
							.query = request->query,
							.header = pairs,
							.payload = ETL_SIGV4_EMPTY,
							.time = etl_sigv4_time((pg_time_t) time(NULL) + s3->skew),
							.region = s3->region,
							.service = "s3",
							.access_key = s3->access_key,
							.secret_key = s3->secret_key};
	char *host = host_of(s3);

	transfer->header = (EtlNames){0, palloc(sizeof(char *) * (MOST_HEADERS + 1))};
	transfer->url = psprintf("%s://%s%s%s%s", s3->scheme, host, etl_url_encode(sign.path, true),
							 request->n_query > 0 ? "?" : "", etl_sigv4_query(&sign));
	transfer->timeout = s3->timeout;
	transfer->with_headers = true;
	if (request->if_match)
		transfer->header.name[transfer->header.n++] = psprintf("If-Match: \"%s\"", request->if_match);
	if (s3->access_key == NULL)
		return;
	add_header(transfer, pairs, &sign.n_header, "host", host);
	add_header(transfer, pairs, &sign.n_header, "x-amz-content-sha256", ETL_SIGV4_EMPTY);
	add_header(transfer, pairs, &sign.n_header, "x-amz-date", sign.time);
	if (s3->session_token)
		add_header(transfer, pairs, &sign.n_header, "x-amz-security-token", s3->session_token);
	transfer->header.name[transfer->header.n++] = psprintf("Authorization: %s", etl_sigv4_sign(&sign));
}

/* what_of names the object or bucket for an error. */
static char *
what_of(const EtlS3Request *request)
{
	if (request->key)
		return psprintf("object \"%s\" of bucket \"%s\"", request->key, request->s3->bucket);
	return psprintf("bucket \"%s\"", request->s3->bucket);
}

/* shown returns what an answer says, cut off; it never holds a secret, for S3 shows none. */
static char *
shown(const EtlTransferResult *result, const char *code, const char *message)
{
	if (code == NULL)
		return psprintf("The answer is HTTP %d.", result->status);
	return psprintf("The answer is HTTP %d, %s: %s", result->status, code,
					message ? pnstrdup(message, MOST_SHOWN) : "no message");
}

/* wait_a_while waits before the next try; can be interrupted. */
static void
wait_a_while(int tries)
{
	TimestampTz until = GetCurrentTimestamp();
	long pause = FIRST_PAUSE;

	for (int i = 1; i < tries; i++)
		pause *= 3;
	until = TimestampTzPlusMilliseconds(until, pause);
	while (GetCurrentTimestamp() < until)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(pause, 200), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* adjust_clock takes over the server's time from its answer. */
static void
adjust_clock(EtlS3 *s3, const EtlTransferResult *result)
{
	char *date = etl_transfer_header(result, "Date");
	time_t theirs = date ? curl_getdate(date, NULL) : -1;

	if (theirs > 0)
		s3->skew = (int64) theirs - (int64) time(NULL);
}

/* refuse raises the error that fits a status. */
static void
pg_attribute_noreturn() refuse(const EtlS3Request *request, const EtlTransferResult *result, const char *body)
{
	const char *end = body ? body + strlen(body) : NULL;
	char *code = body ? etl_xml_text(body, end, "Code") : NULL;
	char *message = body ? etl_xml_text(body, end, "Message") : NULL;
	char *region = body ? etl_xml_text(body, end, "Region") : NULL;
	char *what = what_of(request);

	if (result->status == 301 || region)
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR), errmsg("%s is in another region", what),
						errdetail("%s", shown(result, code, message)),
						region ? errhint("ALTER SERVER ... OPTIONS (SET region '%s').", region)
							   : errhint("Set region and endpoint of the server to those of the bucket.")));
	if (result->status == 401 || result->status == 403)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errmsg("access to %s was refused", what),
				 errdetail("%s", shown(result, code, message)),
				 errhint("Check access_key_id and secret_access_key of the user mapping, and what they may read.")));
	if (result->status == 412 || (result->status == 404 && request->key))
		ereport(ERROR,
				(errcode(ERRCODE_ETL_SHORT_READ), errmsg("%s has changed since it was listed", what),
				 errdetail("%s", shown(result, code, message)), errhint("The next attempt lists the bucket again.")));
	if (result->status == 404 && code && strcmp(code, "NoSuchBucket") == 0)
		ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND), errmsg("%s does not exist", what),
						errdetail("%s", shown(result, code, message)),
						errhint("Check bucket, endpoint and addressing of the server.")));
	if (result->denied)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("%s cannot be reached", what),
						errdetail("%s.", result->error),
						errhint("Ask a superuser to add the host, the address or its network to etl.allowed_hosts.")));
	if (!result->ok)
		ereport(ERROR, (errcode(result->passing ? ERRCODE_CONNECTION_FAILURE : ERRCODE_FDW_ERROR),
						errmsg("%s cannot be reached", what), errdetail("%s.", result->error),
						errhint("Check endpoint of the server.")));
	ereport(ERROR,
			(errcode(result->status >= 500 || result->status == 429 ? ERRCODE_CONNECTION_FAILURE : ERRCODE_FDW_ERROR),
			 errmsg("%s cannot be read", what), errdetail("%s", shown(result, code, message))));
}

/* etl_s3_request_is_good decides what comes next. */
bool
etl_s3_request_is_good(EtlS3Request *request, const EtlTransferResult *result, const char *body)
{
	bool is_skewed = body && strstr(body, "<Code>RequestTimeTooSkewed</Code>") != NULL;
	bool passing = result->ok ? result->status >= 500 || result->status == 429 || result->status == 408
							  : result->passing;

	if (result->ok && result->status == 200)
		return true;
	request->tries++;
	if (is_skewed && !request->is_adjusted)
	{
		request->is_adjusted = true;
		adjust_clock(request->s3, result);
		return false;
	}
	if (!passing || request->tries >= MOST_TRIES)
		refuse(request, result, body);
	wait_a_while(request->tries);
	return false;
}
