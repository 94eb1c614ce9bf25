/*
 * handle.h
 *		One transfer as libcurl sees it: its handle, and the buffers that libcurl's callbacks use. All of it is malloc'ed and
 *		nothing here raises an error, so that no error can jump over libcurl. Used by transfer.c only.
 */
#ifndef ETL_HANDLE_H
#define ETL_HANDLE_H

#include <curl/curl.h>

#include "lib/ilist.h"
#include "net/transfer.h"

/* Sockets of a mail: libcurl tries a few addresses at the same time. */
#define ETL_HANDLE_SOCKETS 8

typedef struct EtlHandle
{
	dlist_node node; /* in its set */
	CURL *easy;
	struct curl_slist *header;
	struct curl_slist *mail_to;
	char *body;
	size_t body_length;
	size_t body_sent;
	char *answer;
	size_t answer_length;
	size_t answer_limit;
	bool answer_full;
	bool cut_answer;
	bool out_of_memory;
	bool body_ended;
	int n_replies; /* of a mail server */
	int n_sockets;
	curl_socket_t socket[ETL_HANDLE_SOCKETS];
	char error[CURL_ERROR_SIZE];
	void *tag;
} EtlHandle;

extern EtlHandle *etl_handle_new(const EtlTransferRequest *request, void *tag);
extern void etl_handle_free(EtlHandle *handle);
extern bool etl_handle_is_passing(const EtlHandle *handle, CURLcode code);

#endif /* ETL_HANDLE_H */
