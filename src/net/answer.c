/*
 * answer.c
 *		What arrives for a transfer: libcurl's callbacks for bodies, headers and the replies of mail servers. See handle.h.
 *
 * They run inside libcurl: nothing is palloc'ed and no error is raised here.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "net/handle.h"

/* append makes a buffer longer; false when there is no memory. It ends in \0, which is not counted. */
static bool
append(char **buffer, size_t *length, const char *data, size_t n)
{
	char *longer = realloc(*buffer, *length + n + 1);

	if (longer == NULL)
		return false;
	memcpy(longer + *length, data, n);
	longer[*length + n] = '\0';
	*buffer = longer;
	*length += n;
	return true;
}

/* keep_answer is libcurl's callback for what arrives: appends it to the answer, up to its limit. */
static size_t
keep_answer(char *data, size_t size, size_t n, void *arg)
{
	EtlHandle *handle = arg;
	size_t length = size * n;
	size_t kept = Min(length, handle->answer_limit - handle->answer_length);

	if (!append(&handle->answer, &handle->answer_length, data, kept))
	{
		handle->out_of_memory = true;
		return 0;
	}
	handle->answer_full = kept < length;
	return kept;
}

/* keep_window is libcurl's callback for a body that is streamed: keeps as much as fits, and has libcurl wait with the rest. */
static size_t
keep_window(char *data, size_t size, size_t n, void *arg)
{
	EtlHandle *handle = arg;
	size_t length = size * n;

	if (handle->answer_start > 0 && handle->answer_length + length > ETL_HANDLE_BUFFER)
	{
		handle->answer_length -= handle->answer_start;
		memmove(handle->answer, handle->answer + handle->answer_start, handle->answer_length);
		handle->answer_start = 0;
	}
	if (handle->answer_length + length > ETL_HANDLE_BUFFER)
	{
		handle->is_paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	memcpy(handle->answer + handle->answer_length, data, length);
	handle->answer_length += length;
	return length;
}

/* begins says whether a line begins with a name, in any case. */
static bool
begins(const char *line, size_t length, const char *name)
{
	return length >= strlen(name) && pg_strncasecmp(line, name, strlen(name)) == 0;
}

/* names_chunked says whether a header of the transfer's coding says that the body comes in chunks. */
static bool
names_chunked(const char *line, size_t length)
{
	for (size_t i = 0; i + 7 <= length; i++)
		if (pg_strncasecmp(line + i, "chunked", 7) == 0)
			return true;
	return false;
}

/*
 * keep_header is libcurl's callback for a line of the headers. Those of an earlier answer (100 Continue) are forgotten. An
 * empty line ends them: libcurl takes a connection that ends within the headers for an answer without a body.
 */
static size_t
keep_header(char *data, size_t size, size_t n, void *arg)
{
	EtlHandle *handle = arg;
	size_t length = size * n;

	if (begins(data, length, "HTTP/"))
	{
		handle->headers_length = 0;
		handle->headers_ended = false;
		handle->is_chunked = false;
	}
	if (handle->headers_length + length > ETL_HANDLE_HEADERS)
	{
		handle->headers_full = true;
		return 0;
	}
	if (begins(data, length, "Transfer-Encoding:") && names_chunked(data, length))
		handle->is_chunked = true;
	if (length <= 2 && (data[0] == '\r' || data[0] == '\n'))
	{
		long status = 0;

		(void) curl_easy_getinfo(handle->easy, CURLINFO_RESPONSE_CODE, &status);
		handle->headers_ended = status >= 200;
	}
	if (!append(&handle->headers, &handle->headers_length, data, length))
	{
		handle->out_of_memory = true;
		return 0;
	}
	return length;
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

/* etl_answer_is_framed says whether HTTP said where the body ends. */
bool
etl_answer_is_framed(const EtlHandle *handle)
{
	curl_off_t length = -1;
	long version = 0;
	long status = 0;

	(void) curl_easy_getinfo(handle->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	(void) curl_easy_getinfo(handle->easy, CURLINFO_HTTP_VERSION, &version);
	(void) curl_easy_getinfo(handle->easy, CURLINFO_RESPONSE_CODE, &status);
	return handle->is_chunked || length >= 0 || version >= CURL_HTTP_VERSION_2_0 || status == 204 || status == 304;
}

/* Sets an option; failures are collected in the variable failed. */
#define SET(option, value) (failed |= curl_easy_setopt(handle->easy, option, value) != CURLE_OK)

/* etl_answer_set sets libcurl's callbacks for what arrives. */
bool
etl_answer_set(EtlHandle *handle)
{
	bool failed = false;

	if (handle->is_streamed)
	{
		handle->answer = malloc(ETL_HANDLE_BUFFER);
		failed = handle->answer == NULL;
		SET(CURLOPT_WRITEFUNCTION, keep_window);
	}
	else
		SET(CURLOPT_WRITEFUNCTION, keep_answer);
	SET(CURLOPT_WRITEDATA, handle);
	if (handle->is_http)
		SET(CURLOPT_HEADERFUNCTION, keep_header);
	else
		SET(CURLOPT_HEADERFUNCTION, keep_reply);
	SET(CURLOPT_HEADERDATA, handle);
	return !failed;
}
