/*
 * handle.h
 *		One transfer as libcurl sees it: its handle, and the buffers that libcurl's callbacks use. All of it is malloc'ed and
 *		nothing here raises an error, so that no error can jump over libcurl. Used by pump.c, transfer.c and stream.c only.
 */
#ifndef ETL_HANDLE_H
#define ETL_HANDLE_H

#include <curl/curl.h>

#include "lib/ilist.h"
#include "net/address.h"
#include "net/transfer.h"

/* Sockets of a transfer: libcurl tries a few addresses at the same time. */
#define ETL_HANDLE_SOCKETS 8

/* Most bytes of the headers of an answer. */
#define ETL_HANDLE_HEADERS 65536

/* Longest text of an address: of IPv6, with a zone. */
#define ETL_HANDLE_ADDRESS 64

/* Bytes of a streamed body that wait to be read; libcurl gives at most 16 kB at a time. */
#define ETL_HANDLE_BUFFER (1024 * 1024)

typedef struct EtlHandle
{
	dlist_node node; /* in its pump */
	CURL *easy;
	struct curl_slist *header;
	struct curl_slist *mail_to;
	char *body;
	size_t body_length;
	size_t body_sent;
	bool out_of_memory;
	bool body_ended;
	char error[CURL_ERROR_SIZE];
	void *tag;

	/* What arrives: see answer.c. */
	bool is_http;
	bool is_streamed; /* answer is a window of ETL_HANDLE_BUFFER bytes over the body, and full means pause */
	bool keep_headers;
	char *answer;
	size_t answer_start; /* streamed: what was read already */
	size_t answer_length;
	size_t answer_limit;
	bool answer_full;
	bool cut_answer;
	bool is_paused;
	char *headers;
	size_t headers_length;
	bool headers_full;
	bool headers_ended;
	bool is_chunked;
	int n_replies; /* of a mail server */

	/* Where to: see socket.c. */
	EtlAddressList *allowed;
	char *host;
	int port;
	bool by_proxy;
	char refused[ETL_HANDLE_ADDRESS]; /* an address that is not allowed; empty: none was */
	int n_sockets;
	curl_socket_t socket[ETL_HANDLE_SOCKETS];
} EtlHandle;

/* NULL: there was no memory, or libcurl does not know an option. Takes allowed over. */
extern EtlHandle *etl_handle_new(const EtlTransferRequest *request, EtlAddressList *allowed, bool is_streamed,
								 void *tag);
extern void etl_handle_free(EtlHandle *handle);
extern bool etl_handle_is_passing(const EtlHandle *handle, CURLcode code);

/* answer.c, socket.c: set libcurl's callbacks; false when libcurl does not know one. */
extern bool etl_answer_set(EtlHandle *handle);
extern bool etl_socket_set(EtlHandle *handle, const char *url);

/* Whether HTTP said where the body ends. */
extern bool etl_answer_is_framed(const EtlHandle *handle);

#endif /* ETL_HANDLE_H */
