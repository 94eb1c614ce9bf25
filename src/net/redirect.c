/*
 * redirect.c
 *		Redirections of HTTP. See redirect.h.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "net/redirect.h"
#include "net/transfer.h"

/* get_part returns a part of an address in the current memory context; empty: there is none. */
static char *
get_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	char *copy = NULL;

	if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK && text != NULL)
		copy = MemoryContextAllocExtended(CurrentMemoryContext, strlen(text) + 1, MCXT_ALLOC_NO_OOM);
	if (copy != NULL)
		strcpy(copy, text);
	curl_free(text);
	return copy != NULL ? copy : pstrdup("");
}

/* is_web says whether a parsed address is one of HTTP without a user in it. */
static bool
is_web(CURLU *url)
{
	char *scheme = get_part(url, CURLUPART_SCHEME);

	return (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0) && *get_part(url, CURLUPART_HOST) != '\0' &&
		   *get_part(url, CURLUPART_USER) == '\0' && *get_part(url, CURLUPART_PASSWORD) == '\0';
}

/* etl_redirect_resolve returns the absolute address that a reference means. */
char *
etl_redirect_resolve(const char *base, const char *reference)
{
	CURLU *url = curl_url();
	char *result = NULL;

	for (const char *c = reference; *c != '\0'; c++)
		if ((unsigned char) *c <= ' ' || *c == '\x7f' || *c == '\\')
		{
			curl_url_cleanup(url);
			return NULL;
		}
	if (url != NULL && curl_url_set(url, CURLUPART_URL, base, 0) == CURLUE_OK &&
		curl_url_set(url, CURLUPART_URL, reference, 0) == CURLUE_OK &&
		curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK && is_web(url))
		result = get_part(url, CURLUPART_URL);
	curl_url_cleanup(url);
	return result;
}

/* etl_redirect_origin returns scheme, host and port of an address. */
char *
etl_redirect_origin(const char *address)
{
	CURLU *url = curl_url();
	char *origin = pstrdup("?");

	if (url != NULL && curl_url_set(url, CURLUPART_URL, address, 0) == CURLUE_OK)
		origin = psprintf("%s://%s:%s", get_part(url, CURLUPART_SCHEME), get_part(url, CURLUPART_HOST),
						  get_part(url, CURLUPART_PORT));
	curl_url_cleanup(url);
	return origin;
}

/* etl_redirect_is_same says whether two addresses have the same scheme, host and port. */
bool
etl_redirect_is_same(const char *one, const char *other)
{
	char *origin = etl_redirect_origin(one);

	return strcmp(origin, "?") != 0 && pg_strcasecmp(origin, etl_redirect_origin(other)) == 0;
}

/* may_go_along says whether a header may be sent to another host. */
static bool
may_go_along(const char *header)
{
	static const char *const names[] = {"Accept:", "Accept-Language:", "If-None-Match:", "If-Modified-Since:"};

	for (int i = 0; i < lengthof(names); i++)
		if (pg_strncasecmp(header, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* strip leaves out of a request what another host must not see. */
static void
strip(EtlTransferRequest *request)
{
	EtlNames kept = {0};

	kept.name = palloc(sizeof(char *) * Max(request->header.n, 1));
	for (int i = 0; i < request->header.n; i++)
		if (may_go_along(request->header.name[i]))
			kept.name[kept.n++] = request->header.name[i];
	request->header = kept;
	request->user = NULL;
	request->password = NULL;
}

/* refuse raises the error for a redirection that is not followed. */
static void
pg_attribute_noreturn() refuse(const char *from, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
					errmsg("the answer of %s leads to an address that is not followed", etl_redirect_origin(from)),
					errdetail("%s", detail), errhint("%s", hint)));
}

/* etl_redirect_follow says whether an answer leads elsewhere, and how to go there. */
bool
etl_redirect_follow(const EtlTransferRequest *request, const EtlTransferResult *result, EtlTransferRequest *next)
{
	int status = result->status;
	char *location;
	char *url;

	if (!result->ok || (status != 301 && status != 302 && status != 303 && status != 307 && status != 308))
		return false;
	if (request->body != NULL || (request->method != NULL && strcmp(request->method, "GET") != 0))
		refuse(request->url, "Only requests by GET are sent to another address.", "Name the final address.");
	location = etl_transfer_header(result, "Location");
	if (location == NULL)
		refuse(request->url, psprintf("The answer has the status %d, but no header Location.", status),
			   "Ask who runs the server.");
	url = etl_redirect_resolve(request->url, location);
	if (url == NULL)
		refuse(request->url, "The header Location holds no address of HTTP, or one with a user in it.",
			   "Ask who runs the server.");
	if (strncmp(request->url, "https:", 6) == 0 && strncmp(url, "https:", 6) != 0)
		refuse(request->url, psprintf("It leads from https to %s.", etl_redirect_origin(url)),
			   "Name the final address in base_url and path.");
	*next = *request;
	next->url = url;
	if (!etl_redirect_is_same(request->url, url))
		strip(next);
	return true;
}

/* etl_redirect_refuse_more refuses to go on. */
void
etl_redirect_refuse_more(const EtlTransferRequest *request, int most)
{
	refuse(request->url, psprintf("There were more than %d redirections.", most),
		   "Name the final address in base_url and path, or set max_redirects.");
}
