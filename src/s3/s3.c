/*
 * s3.c
 *		A bucket of S3. See s3.h.
 */
#include "postgres.h"

#include "errors.h"
#include "miscadmin.h"
#include "net/endpoint.h"
#include "s3/request.h"
#include "s3/xml.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* An answer that lists 1000 keys of the longest kind is smaller. */
#define LIST_LIMIT (16 * 1024 * 1024)

/* As much of the body of an error is read. */
#define ERROR_LIMIT 16384

/* Length of an MD5 as text. */
#define MD5_DIGITS 32

/* ms that may pass without a byte of an object. */
#define STALL 60000

/* text_of copies an option, or a default. */
static char *
text_of(const List *options, const char *name, const char *otherwise)
{
	const char *value = etl_endpoint_option(options, name);

	if (value == NULL)
		value = otherwise;
	return value ? pstrdup(value) : NULL;
}

/* is_virtual decides where the bucket's name stands: in the host's of Amazon's own, if a certificate can have it. */
static bool
is_virtual(const EtlS3 *s3, const char *addressing)
{
	if (addressing && strcmp(addressing, "virtual") == 0)
		return true;
	if (addressing && strcmp(addressing, "path") == 0)
		return false;
	return strstr(s3->host, ".amazonaws.com") != NULL && strchr(s3->bucket, '.') == NULL;
}

/* drop_default_port leaves the host as libcurl sends it, which is what the signature is about. */
static void
drop_default_port(EtlS3 *s3)
{
	char *port = strrchr(s3->host, ':');

	if (port && strcmp(port, strcmp(s3->scheme, "https") == 0 ? ":443" : ":80") == 0)
		*port = '\0';
}

/* etl_s3_make reads the options. */
EtlS3 *
etl_s3_make(const List *server, const List *mapping)
{
	EtlS3 *s3 = palloc0(sizeof(EtlS3));
	char *endpoint;
	const char *timeout = etl_endpoint_option(server, "timeout");

	s3->context = CurrentMemoryContext;
	s3->region = text_of(server, "region", "us-east-1");
	s3->bucket = text_of(server, "bucket", "");
	endpoint = text_of(server, "endpoint", psprintf("https://%s.%s.amazonaws.com", "s3", s3->region));
	s3->host = strstr(endpoint, "://") + 3;
	s3->scheme = pnstrdup(endpoint, s3->host - endpoint - 3);
	s3->host = pnstrdup(s3->host, strcspn(s3->host, "/"));
	drop_default_port(s3);
	s3->is_virtual = is_virtual(s3, etl_endpoint_option(server, "addressing"));
	s3->access_key = text_of(mapping, "access_key_id", NULL);
	s3->secret_key = text_of(mapping, "secret_access_key", NULL);
	s3->session_token = text_of(mapping, "session_token", NULL);
	if (timeout == NULL || !etl_endpoint_parse_time(timeout, &s3->timeout))
		s3->timeout = ETL_ENDPOINT_TIMEOUT;
	return s3;
}

/* hex_digit returns the value of a hexadecimal digit, or -1. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* url_decode undoes encoding-type=url, in place. */
static char *
url_decode(char *text)
{
	char *to = text;

	for (const char *c = text; *c; c++)
	{
		int high = c[0] == '%' && c[1] ? hex_digit(c[1]) : -1;
		int low = high >= 0 && c[2] ? hex_digit(c[2]) : -1;

		if (low >= 0)
		{
			*to++ = (char) (high * 16 + low);
			c += 2;
		}
		else
			*to++ = *c == '+' ? ' ' : *c;
	}
	*to = '\0';
	return text;
}

/* parse_time reads a time like 2024-01-15T10:00:00.000Z; no transaction is open, so that nothing may be looked up. */
static TimestampTz
parse_time(const char *text)
{
	struct pg_tm tm = {0};
	TimestampTz time;
	int utc = 0;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
			   &tm.tm_sec) != 6 ||
		tm2timestamp(&tm, 0, &utc, &time) != 0)
		return DT_NOBEGIN;
	return time;
}

/* refuse_list reports an answer that is no list. */
static void
pg_attribute_noreturn() refuse_list(const EtlS3 *s3, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_ERROR), errmsg("the list of bucket \"%s\" cannot be read", s3->bucket),
					errdetail("%s", why), errhint("Check that endpoint is that of a service which speaks S3.")));
}

/* read_object reads an entry. */
static void
read_object(const EtlS3 *s3, const char *text, const char *end, bool is_encoded, EtlS3Object *object)
{
	char *size = etl_xml_text(text, end, "Size");
	char *modified = etl_xml_text(text, end, "LastModified");
	char *etag = etl_xml_text(text, end, "ETag");
	size_t length;

	object->key = etl_xml_text(text, end, "Key");
	if (object->key == NULL || size == NULL || etag == NULL || size[strspn(size, "0123456789")] != '\0')
		refuse_list(s3, "An entry lacks Key, Size or ETag.");
	if (is_encoded)
		object->key = url_decode(object->key);
	object->size = strtoll(size, NULL, 10);
	length = strlen(etag);
	object->etag = length >= 2 && etag[0] == '"' && etag[length - 1] == '"' ? pnstrdup(etag + 1, length - 2) : etag;
	object->modified = modified ? parse_time(modified) : DT_NOBEGIN;
}

/* read_list reads an answer. */
static void
read_list(const EtlS3 *s3, const EtlTransferResult *result, EtlS3List *list)
{
	const char *at = result->answer;
	const char *end = at + result->length;
	const char *begin;
	const char *stop;
	char *encoding;
	char *truncated;
	int room = 1000;

	if (strstr(at, "<ListBucketResult") == NULL || strstr(at, "</ListBucketResult>") == NULL)
		refuse_list(s3, "The answer is no ListBucketResult.");
	encoding = etl_xml_text(at, end, "EncodingType");
	truncated = etl_xml_text(at, end, "IsTruncated");
	list->n = 0;
	list->object = palloc(sizeof(EtlS3Object) * room);
	list->next = truncated && strcmp(truncated, "true") == 0 ? etl_xml_text(at, end, "NextContinuationToken") : NULL;
	if (truncated && strcmp(truncated, "true") == 0 && list->next == NULL)
		refuse_list(s3, "It is said to go on, but not where.");
	while (etl_xml_next(&at, end, "Contents", &begin, &stop))
	{
		CHECK_FOR_INTERRUPTS();
		if (list->n == room)
			list->object = repalloc(list->object, sizeof(EtlS3Object) * (room *= 2));
		read_object(s3, begin, stop, encoding && strcmp(encoding, "url") == 0, &list->object[list->n++]);
	}
}

/* etl_s3_list asks until there is an answer. */
void
etl_s3_list(EtlS3 *s3, const char *prefix, const char *token, EtlS3List *list)
{
	EtlSigv4Pair query[4] = {{"list-type", "2"}, {"prefix", prefix}, {"encoding-type", "url"}};
	EtlS3Request request = {.s3 = s3, .n_query = 3, .query = query};
	EtlTransferResult result;

	if (token)
		query[request.n_query++] = (EtlSigv4Pair){"continuation-token", token};
	do
	{
		EtlTransferRequest transfer = {.answer_limit = LIST_LIMIT};

		etl_s3_request_sign(&request, &transfer);
		etl_transfer_perform(&transfer, &result);
	} while (!etl_s3_request_is_good(&request, &result, result.answer));
	read_list(s3, &result, list);
	if (token && list->next && strcmp(token, list->next) == 0)
		refuse_list(s3, "The same part came twice.");
}

/* read_error reads the body of an answer that is an error, as far as it comes. */
static char *
read_error(EtlStream *stream)
{
	char *body = palloc0(ERROR_LIMIT + 1);
	size_t length = 0;
	size_t n;

	while (length < ERROR_LIMIT && (n = etl_stream_read(stream, body + length, ERROR_LIMIT - length)) > 0)
		length += n;
	return body;
}

/* check_length refuses an object of another size than listed. */
static void
check_length(const EtlS3Object *object, const EtlTransferResult *result)
{
	char *length = etl_transfer_header(result, "Content-Length");

	if (length && strtoll(length, NULL, 10) != object->size)
		ereport(ERROR, (errcode(ERRCODE_ETL_SHORT_READ),
						errmsg("object \"%s\" has another size than it was listed with", object->key),
						errdetail("It was listed with " INT64_FORMAT " bytes, and now has %s.", object->size, length),
						errhint("The next attempt lists the bucket again.")));
}

/*
 * has_md5 says whether the ETag of an object may be its MD5: it looks like one where the object was stored in one piece, but is
 * something else where the server keeps it under a key of KMS.
 */
static bool
has_md5(const EtlS3Object *object, const EtlTransferResult *result)
{
	char *encryption = etl_transfer_header(result, "x-amz-server-side-encryption");

	return strlen(object->etag) == MD5_DIGITS && strspn(object->etag, "0123456789abcdef") == MD5_DIGITS &&
		   (encryption == NULL || strcmp(encryption, "AES256") == 0);
}

/* try_open sends the request once; NULL: it may be sent again. */
static EtlStream *
try_open(EtlS3Request *request, const EtlS3Object *object, bool *is_md5)
{
	EtlTransferRequest transfer = {.stall = STALL};
	EtlTransferResult result;
	EtlStream *stream;
	bool good = false;

	etl_s3_request_sign(request, &transfer);
	stream = etl_stream_open(&transfer, &result);
	PG_TRY();
	{
		char *body = result.ok && result.status != 200 ? read_error(stream) : NULL;

		good = etl_s3_request_is_good(request, &result, body);
		if (good)
			check_length(object, &result);
		*is_md5 = good && has_md5(object, &result);
	}
	PG_CATCH();
	{
		etl_stream_close(stream);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (good)
		return stream;
	etl_stream_close(stream);
	return NULL;
}

/* etl_s3_open asks for the version that was listed. */
EtlStream *
etl_s3_open(EtlS3 *s3, const EtlS3Object *object, bool *is_md5)
{
	EtlS3Request request = {.s3 = s3, .key = object->key, .if_match = object->etag};
	EtlStream *stream;

	while ((stream = try_open(&request, object, is_md5)) == NULL)
		CHECK_FOR_INTERRUPTS();
	return stream;
}
