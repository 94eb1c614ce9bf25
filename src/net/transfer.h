/*
 * transfer.h
 *		Transfers over HTTP and SMTP by libcurl that can be interrupted: several at the same time in a set, or one alone.
 *
 * libcurl never calls into PostgreSQL: its callbacks write to bounded malloc'ed buffers, and errors are raised after it has
 * returned. All signals are blocked while it may start a thread (its resolver does), so that PostgreSQL's handlers run in
 * PostgreSQL's thread only; it waits at most 200 ms at a time. No transaction should be open while a transfer runs.
 */
#ifndef ETL_TRANSFER_H
#define ETL_TRANSFER_H

#include "etl_ext.h"

/* What to transfer. Everything is copied by etl_transfer_add; no string may contain control characters but the body. */
typedef struct EtlTransferRequest
{
	const char *url;  /* http, https, smtp or smtps; no user or password in it */
	EtlNames header;  /* HTTP: "Name: value" */
	const char *body; /* HTTP: sent by POST, NULL: GET. SMTP: the message with its headers */
	const char *user; /* NULL: none */
	const char *password;
	const char *mail_from; /* SMTP */
	EtlNames mail_to;
	bool starttls;		  /* SMTP: must turn to TLS before anything else is said */
	int timeout;		  /* ms for everything */
	size_t answer_limit;  /* bytes of the answer that are kept */
	bool cut_answer;	  /* a longer answer is no error: the rest is not read */
	bool keep_connection; /* HTTP: the next transfer of the set may use it */
	const char *method;	  /* HTTP; NULL: POST with a body, GET without */
	bool with_headers;	  /* HTTP: keep the headers of the answer, for etl_transfer_header */
	bool decode;		  /* HTTP: accept gzip and deflate, and decode them; answer_limit counts decoded bytes.
							* libcurl does not notice compressed data that end early */
	int stall;			  /* ms without a byte after which a streamed transfer is given up; 0: timeout */
} EtlTransferRequest;

typedef struct EtlTransferResult
{
	void *tag;
	bool ok;	   /* the exchange was complete, whatever the answer says */
	bool passing;  /* if not: it may work another time (connections, time-outs) */
	int status;	   /* of HTTP or SMTP; 0: no answer */
	bool denied;   /* if not: an address is not in etl.allowed_hosts */
	char *error;   /* why it is not ok, in words; may name host and port */
	char *answer;  /* body of an HTTP answer, last line of a mail server; ends in \0 */
	size_t length; /* of answer */
	char *headers; /* with_headers: the lines of the last answer; NULL: none */
	bool framed;   /* HTTP: Content-Length, chunks or HTTP/2 said where the body ends */
} EtlTransferResult;

typedef struct EtlTransferSet EtlTransferSet;

/* A set lives until it is closed: the caller closes it in PG_FINALLY. */
extern EtlTransferSet *etl_transfer_open(void);
extern void etl_transfer_close(EtlTransferSet *set);

/* Begins a transfer; tag comes back in its result. Errors: 22023, 53200, 58000. */
extern void etl_transfer_add(EtlTransferSet *set, const EtlTransferRequest *request, void *tag);

/* Breaks off the transfer with a tag, if it runs; there will be no result. */
extern void etl_transfer_drop(EtlTransferSet *set, const void *tag);

/* How many transfers have begun whose result was not taken yet. */
extern int etl_transfer_count(const EtlTransferSet *set);

/* Waits up to timeout ms for a transfer to end and returns its result; false: none has ended. Can be interrupted. */
extern bool etl_transfer_next(EtlTransferSet *set, int timeout, EtlTransferResult *result);

/* The value of a header of the answer, in the current memory context, or NULL; name in any case. */
extern char *etl_transfer_header(const EtlTransferResult *result, const char *name);

/* One transfer from beginning to end. */
extern void etl_transfer_perform(const EtlTransferRequest *request, EtlTransferResult *result);

#endif /* ETL_TRANSFER_H */
