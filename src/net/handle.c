/*
 * handle.c
 *		One transfer as libcurl sees it. See handle.h.
 */
#include "postgres.h"

#include "guc.h"
#include "net/handle.h"

/* Longest time for a connection to be made, in ms. */
#define CONNECT_TIME 10000

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

/* Sets an option; failures are collected in the variable failed. */
#define SET(option, value) (failed |= curl_easy_setopt(easy, option, value) != CURLE_OK)

/* set_limits sets what holds for every transfer: nothing but what the request says. */
static bool
set_limits(CURL *easy, const EtlTransferRequest *request, const EtlHandle *handle)
{
	bool failed = false;

	SET(CURLOPT_NOSIGNAL, 1L);
	/* With its default of 16 kB libcurl reads half as fast. */
	if (handle->is_streamed)
		SET(CURLOPT_BUFFERSIZE, (long) ETL_HANDLE_BUFFER / 4);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "");
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
	/* Of a streamed transfer only connection and headers are limited; see stream.c. */
	if (!handle->is_streamed)
		SET(CURLOPT_TIMEOUT_MS, (long) request->timeout);
	if (etl_tls_ca_file != NULL && etl_tls_ca_file[0] != '\0')
		SET(CURLOPT_CAINFO, etl_tls_ca_file);
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
	/* A path may be signed as it is. */
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_USERAGENT, "etl_ext/" ETL_VERSION);
	if (handle->by_proxy)
	{
		SET(CURLOPT_PROXY, etl_http_proxy);
		SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	}
	if (!request->keep_connection)
		SET(CURLOPT_FORBID_REUSE, 1L);
	if (handle->body != NULL)
	{
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) handle->body_length);
		SET(CURLOPT_POSTFIELDS, handle->body);
	}
	if (request->decode)
		SET(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
	if (request->method != NULL && strcmp(request->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else if (request->method != NULL)
		SET(CURLOPT_CUSTOMREQUEST, request->method);
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
	SET(CURLOPT_URL, request->url);
	if (request->user != NULL)
		SET(CURLOPT_USERNAME, request->user);
	if (request->password != NULL)
		SET(CURLOPT_PASSWORD, request->password);
	return !failed && etl_answer_set(handle) && etl_socket_set(handle, request->url) &&
		   set_limits(easy, request, handle) &&
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
	free(handle->headers);
	free(handle->allowed);
	free(handle->host);
	free(handle);
}

/* etl_handle_new prepares a transfer; NULL when there is no memory or libcurl does not know an option. */
EtlHandle *
etl_handle_new(const EtlTransferRequest *request, EtlAddressList *allowed, bool is_streamed, void *tag)
{
	EtlHandle *handle = calloc(1, sizeof(EtlHandle));

	if (handle == NULL)
	{
		free(allowed);
		return NULL;
	}
	handle->tag = tag;
	handle->allowed = allowed;
	handle->is_http = request->mail_from == NULL;
	handle->is_streamed = is_streamed;
	handle->keep_headers = request->with_headers;
	handle->by_proxy = handle->is_http && etl_http_proxy != NULL && etl_http_proxy[0] != '\0';
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
	if (handle->refused[0] != '\0' || handle->headers_full)
		return false;
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
