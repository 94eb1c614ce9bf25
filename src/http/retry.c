/*
 * retry.c
 *		What an answer means. See retry.h.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "common/pg_prng.h"
#include "http/request.h"
#include "http/retry.h"
#include "mb/pg_wchar.h"
#include "net/redirect.h"

/* First pause before the same is asked again, in ms; each further one is twice as long. */
#define FIRST_PAUSE 250

/* Bytes of an answer that an error shows. */
#define SHOWN_BYTES 300

/* etl_http_retry_after reads seconds or a date. */
int64
etl_http_retry_after(const char *value)
{
	char *end;
	long seconds = strtol(value, &end, 10);
	time_t date;

	if (end != value && *end == '\0')
		return seconds >= 0 ? (int64) Min(seconds, 86400) * 1000 : -1;
	date = curl_getdate(value, NULL);
	if (date == -1)
		return -1;
	return Max((int64) date - (int64) time(NULL), 0) * 1000;
}

/* pause_of returns the pause after so many tries: longer and longer, and not the same for all. */
static int
pause_of(int tries)
{
	return (int) ((FIRST_PAUSE << Min(tries, 8)) * (0.5 + pg_prng_double(&pg_global_prng_state)));
}

/* is_busy says whether a status says that it may go better later. */
static bool
is_busy(int status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

/* show_answer returns the beginning of an answer for a detail, without secrets and what is no text. */
static char *
show_answer(const EtlHttpTable *table, const EtlTransferResult *result)
{
	int length = (int) Min(result->length, SHOWN_BYTES * 4);
	char *text = pnstrdup(result->answer != NULL ? result->answer : "", result->answer != NULL ? length : 0);

	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || (unsigned char) *c >= 0x7f)
			*c = *c == '\n' || *c == '\t' || *c == '\r' ? ' ' : '?';
	/* A secret must not be cut before it is found. */
	text = etl_http_table_redact(table, text);
	if (strlen(text) > SHOWN_BYTES)
		text[SHOWN_BYTES] = '\0';
	return text;
}

/* fail_status is the failure for a status. */
static EtlHttpFailure *
fail_status(const EtlHttpTable *table, const EtlTransferRequest *request, const EtlTransferResult *result)
{
	EtlHttpFailure *failure = palloc0(sizeof(EtlHttpFailure));
	int status = result->status;
	char *answer = show_answer(table, result);

	failure->message = psprintf("%s answered %d", etl_redirect_origin(request->url), status);
	failure->detail = psprintf("%s%s%s", etl_http_request_show(table, request->url), answer[0] != '\0' ? ": " : "",
							   answer);
	failure->sqlstate = ERRCODE_FDW_ERROR;
	failure->hint = "Look at path, params and the bounds of the foreign table; etl.explain_task shows the request.";
	if (is_busy(status))
	{
		failure->sqlstate = ERRCODE_CONNECTION_FAILURE;
		failure->hint = status == 429 ? "Set rate_limit on the server." : NULL;
	}
	else if (status == 401 || status == 403)
	{
		failure->sqlstate = ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		failure->hint = "Check auth of the server, and its user mapping.";
	}
	else if (status == 404)
		failure->sqlstate = ERRCODE_FDW_TABLE_NOT_FOUND;
	return failure;
}

/* fail_transfer is the failure for an exchange that was not complete. */
static EtlHttpFailure *
fail_transfer(const EtlHttpTable *table, const EtlTransferRequest *request, const EtlTransferResult *result)
{
	EtlHttpFailure *failure = palloc0(sizeof(EtlHttpFailure));

	failure->sqlstate = result->denied	  ? ERRCODE_INSUFFICIENT_PRIVILEGE
						: result->passing ? ERRCODE_CONNECTION_FAILURE
						: result->status  ? ERRCODE_PROGRAM_LIMIT_EXCEEDED
										  : ERRCODE_FDW_ERROR;
	failure->message = psprintf("%s could not be read: %s", etl_redirect_origin(request->url),
								etl_http_table_redact(table, result->error));
	failure->detail = psprintf("The request was %s.", etl_http_request_show(table, request->url));
	if (result->denied)
		failure->hint = "Ask a superuser to add the host, the address or its network to etl.allowed_hosts.";
	else if (failure->sqlstate == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		failure->hint = "Set max_bytes on the foreign table, or page_size.";
	return failure;
}

/* etl_http_retry_judge judges. What is asked by POST is repeated only where it certainly has not been done. */
EtlHttpVerdict
etl_http_retry_judge(const EtlHttpTable *table, const EtlTransferRequest *request, const EtlTransferResult *result,
					 int tries, int *delay, EtlHttpFailure **failure)
{
	char *header = etl_transfer_header(result, "Retry-After");
	int64 asked = header != NULL ? etl_http_retry_after(header) : -1;
	bool idempotent = request->body == NULL;

	*delay = pause_of(tries - 1);
	if (result->ok && ((result->status >= 200 && result->status < 300) || result->status == 304))
		return ETL_HTTP_GOOD;
	if (!result->ok)
	{
		if (result->passing && idempotent && tries < ETL_HTTP_MOST_TRIES)
			return ETL_HTTP_AGAIN;
		*failure = fail_transfer(table, request, result);
		return ETL_HTTP_FAILED;
	}
	if (result->status == 401 && table->auth == ETL_HTTP_OAUTH2)
		return ETL_HTTP_RENEW;
	if (is_busy(result->status) && tries < ETL_HTTP_MOST_TRIES && asked <= ETL_HTTP_LONGEST_WAIT &&
		(idempotent || result->status == 429 || result->status == 503))
	{
		*delay = asked >= 0 ? (int) asked + *delay / 4 : *delay;
		return ETL_HTTP_AGAIN;
	}
	*failure = fail_status(table, request, result);
	if (asked > ETL_HTTP_LONGEST_WAIT)
		(*failure)->hint = psprintf("It asks to be left alone for " INT64_FORMAT " s.", asked / 1000);
	return ETL_HTTP_FAILED;
}
