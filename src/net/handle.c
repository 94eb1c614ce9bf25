/*
 * handle.c
 *		One transfer as libcurl sees it. See handle.h.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/handle.h"

/* Longest time for a connection to be made, in ms. */
#define CONNECT_TIME 10000

/* keep_answer is libcurl's callback for what arrives: appends it to the answer, up to its limit. */
static size_t
keep_answer(char *data, size_t size, size_t n, void *arg)
{
	EtlHandle *handle = arg;
	size_t length = size * n;
	size_t room = handle->answer_limit - handle->answer_length;
	size_t kept = Min(length, room);
	char *answer = realloc(handle->answer, handle->answer_length + kept + 1);

	if (answer == NULL)
	{
		handle->out_of_memory = true;
		return 0;
	}
	memcpy(answer + handle->answer_length, data, kept);
	handle->answer = answer;
	handle->answer_length += kept;
	handle->answer_full = kept < length;
	return kept;
}

/* give_body is libcurl's callback for what is sent. */
static size_t
give_body(char *data, size_t size, size_t n, void *arg)
{
	EtlHandle *handle = arg;
	size_t length = Min(size * n, handle->body_length - handle->body_sent);

	memcpy(data, handle->body + handle->body_sent, length);
	handle->body_sent += length;
	handle->body_ended = length == 0;
	return length;
}

/* rewind_body is libcurl's callback for sending again from a position, as it does after a connection was closed. */
static int
rewind_body(void *arg, curl_off_t offset, int origin)
{
	EtlHandle *handle = arg;

	if (origin != SEEK_SET || offset < 0 || offset > (curl_off_t) handle->body_length)
		return CURL_SEEKFUNC_FAIL;
	handle->body_sent = (size_t) offset;
	return CURL_SEEKFUNC_OK;
}

/* open_socket is libcurl's callback for a new socket of a mail; it is noted. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	EtlHandle *handle = arg;
	curl_socket_t fd;

	if (handle->n_sockets >= ETL_HANDLE_SOCKETS)
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	(void) fcntl(fd, F_SETFD, FD_CLOEXEC);
	handle->socket[handle->n_sockets++] = fd;
	return fd;
}

/* close_socket is libcurl's callback for the end of such a socket. */
static int
close_socket(void *arg, curl_socket_t fd)
{
	EtlHandle *handle = arg;

	for (int i = 0; i < handle->n_sockets; i++)
		if (handle->socket[i] == fd)
			handle->socket[i] = handle->socket[--handle->n_sockets];
	return close(fd);
}

/* is_last_reply says whether libcurl has nothing left to ask after a reply but to be let go. */
static bool
is_last_reply(EtlHandle *handle, const char *line, size_t length)
{
	if (length <= 3 || line[3] == '-')
		return false;
	handle->n_replies++;
	/* The second reply is that to EHLO; if it is an error, libcurl says HELO. */
	return handle->body_ended || ((line[0] == '4' || line[0] == '5') && handle->n_replies != 2);
}

/*
 * keep_reply is libcurl's callback for a line that a mail server says: the last one is the answer. After the last reply
 * nothing is read any more: libcurl says QUIT and would wait for a reply to that, not to be interrupted.
 */
static size_t
keep_reply(char *data, size_t size, size_t n, void *arg)
{
	EtlHandle *handle = arg;
	size_t length = size * n;

	handle->answer_length = 0;
	(void) keep_answer(data, 1, Min(length, handle->answer_limit), arg);
	if (is_last_reply(handle, data, length))
		for (int i = 0; i < handle->n_sockets; i++)
			(void) shutdown(handle->socket[i], SHUT_RD);
	return length;
}

/* Sets an option; failures are collected in the variable failed. */
#define SET(option, value) (failed |= curl_easy_setopt(easy, option, value) != CURLE_OK)

/* set_limits sets what holds for every transfer: nothing but what the request says. */
static bool
set_limits(CURL *easy, const EtlTransferRequest *request)
{
	bool failed = false;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, "http,https,smtp,smtps");
#else
	SET(CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS | CURLPROTO_SMTP | CURLPROTO_SMTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	/* A resolver that hangs does not hold up the end of its transfer. */
	SET(CURLOPT_QUICK_EXIT, 1L);
#endif
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) Min(request->timeout, CONNECT_TIME));
	SET(CURLOPT_TIMEOUT_MS, (long) request->timeout);
	/* Also how long libcurl may wait for a mail server while it breaks off. */
	SET(CURLOPT_SERVER_RESPONSE_TIMEOUT, (long) Max(request->timeout / 1000, 1));
	return !failed;
}

/* set_mail sets what a mail needs. */
static bool
set_mail(CURL *easy, const EtlTransferRequest *request, EtlHandle *handle)
{
	bool failed = false;

	for (int i = 0; i < request->mail_to.n; i++)
	{
		struct curl_slist *list = curl_slist_append(handle->mail_to, request->mail_to.name[i]);

		if (list == NULL)
			return false;
		handle->mail_to = list;
	}
	SET(CURLOPT_MAIL_FROM, request->mail_from);
	SET(CURLOPT_MAIL_RCPT, handle->mail_to);
	SET(CURLOPT_USE_SSL, (long) (request->starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
	SET(CURLOPT_UPLOAD, 1L);
	SET(CURLOPT_READFUNCTION, give_body);
	SET(CURLOPT_READDATA, handle);
	SET(CURLOPT_SEEKFUNCTION, rewind_body);
	SET(CURLOPT_SEEKDATA, handle);
	SET(CURLOPT_HEADERFUNCTION, keep_reply);
	SET(CURLOPT_HEADERDATA, handle);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, handle);
	SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	SET(CURLOPT_CLOSESOCKETDATA, handle);
	SET(CURLOPT_FORBID_REUSE, 1L);
	return !failed;
}

/* set_http sets what a request over HTTP needs. */
static bool
set_http(CURL *easy, const EtlTransferRequest *request, EtlHandle *handle)
{
	bool failed = false;

	for (int i = 0; i < request->header.n; i++)
	{
		struct curl_slist *list = curl_slist_append(handle->header, request->header.name[i]);

		if (list == NULL)
			return false;
		handle->header = list;
	}
	SET(CURLOPT_HTTPHEADER, handle->header);
	SET(CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
	SET(CURLOPT_USERAGENT, "etl_ext/" ETL_VERSION);
	if (!request->keep_connection)
		SET(CURLOPT_FORBID_REUSE, 1L);
	if (handle->body != NULL)
	{
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) handle->body_length);
		SET(CURLOPT_POSTFIELDS, handle->body);
	}
	return !failed;
}

/* set_options prepares a transfer; false when there is no memory or libcurl does not know an option. */
static bool
set_options(EtlHandle *handle, const EtlTransferRequest *request)
{
	CURL *easy = handle->easy;
	bool failed = false;

	SET(CURLOPT_PRIVATE, handle);
	SET(CURLOPT_ERRORBUFFER, handle->error);
	SET(CURLOPT_WRITEFUNCTION, keep_answer);
	SET(CURLOPT_WRITEDATA, handle);
	SET(CURLOPT_URL, request->url);
	if (request->user != NULL)
		SET(CURLOPT_USERNAME, request->user);
	if (request->password != NULL)
		SET(CURLOPT_PASSWORD, request->password);
	return !failed && set_limits(easy, request) &&
		   (request->mail_from ? set_mail(easy, request, handle) : set_http(easy, request, handle));
}

/* etl_handle_free gives back all that a transfer holds; the handle is in no set any more. */
void
etl_handle_free(EtlHandle *handle)
{
	if (handle->easy != NULL)
		curl_easy_cleanup(handle->easy);
	curl_slist_free_all(handle->header);
	curl_slist_free_all(handle->mail_to);
	free(handle->body);
	free(handle->answer);
	free(handle);
}

/* etl_handle_new prepares a transfer; NULL when there is no memory or libcurl does not know an option. */
EtlHandle *
etl_handle_new(const EtlTransferRequest *request, void *tag)
{
	EtlHandle *handle = calloc(1, sizeof(EtlHandle));

	if (handle == NULL)
		return NULL;
	handle->tag = tag;
	handle->answer_limit = request->answer_limit;
	handle->cut_answer = request->cut_answer;
	if (request->body != NULL)
	{
		handle->body_length = strlen(request->body);
		handle->body = strdup(request->body);
	}
	handle->easy = curl_easy_init();
	if (handle->easy == NULL || (request->body != NULL && handle->body == NULL) || !set_options(handle, request))
	{
		etl_handle_free(handle);
		return NULL;
	}
	return handle;
}

/* etl_handle_is_passing says whether a failure of libcurl may be gone another time. */
bool
etl_handle_is_passing(const EtlHandle *handle, CURLcode code)
{
	if (handle->out_of_memory)
		return true;
	switch (code)
	{
		case CURLE_URL_MALFORMAT:
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_NOT_BUILT_IN:
		case CURLE_LOGIN_DENIED:
		case CURLE_AUTH_ERROR:
		case CURLE_REMOTE_ACCESS_DENIED:
		case CURLE_USE_SSL_FAILED:
		case CURLE_WRITE_ERROR:
		case CURLE_BAD_FUNCTION_ARGUMENT:
			return false;
		default:
			return true;
	}
}
