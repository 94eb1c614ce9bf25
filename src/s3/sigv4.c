/*
 * sigv4.c
 *		Signatures of requests to S3. See sigv4.h.
 *
 * libcurl has its own, which is wrong for keys such as date=2024-01-15/a.csv and for query strings that are not sorted.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "net/url.h"
#include "pgtime.h"
#include "s3/hash.h"
#include "s3/sigv4.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

/* compare_pairs orders by name, then by value, byte by byte. */
static int
compare_pairs(const void *a, const void *b)
{
	const EtlSigv4Pair *left = a;
	const EtlSigv4Pair *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : strcmp(left->value, right->value);
}

/* sorted returns pairs in order, encoded or as they are. */
static EtlSigv4Pair *
sorted(int n, const EtlSigv4Pair *pairs, bool is_encoded)
{
	EtlSigv4Pair *result = palloc(sizeof(EtlSigv4Pair) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		result[i].name = is_encoded ? etl_url_encode(pairs[i].name, false) : pairs[i].name;
		result[i].value = is_encoded ? etl_url_encode(pairs[i].value, false) : pairs[i].value;
	}
	qsort(result, n, sizeof(EtlSigv4Pair), compare_pairs);
	return result;
}

/* etl_sigv4_query joins the parameters. */
char *
etl_sigv4_query(const EtlSigv4Request *request)
{
	EtlSigv4Pair *pairs = sorted(request->n_query, request->query, true);
	StringInfoData query;

	initStringInfo(&query);
	for (int i = 0; i < request->n_query; i++)
		appendStringInfo(&query, "%s%s=%s", i > 0 ? "&" : "", pairs[i].name, pairs[i].value);
	return query.data;
}

/* append_trimmed appends a header's value without blanks at its ends, and with one where there are several. */
static void
append_trimmed(StringInfo text, const char *value)
{
	const char *end = value + strlen(value);

	while (*value == ' ')
		value++;
	while (end > value && end[-1] == ' ')
		end--;
	for (; value < end; value++)
		if (*value != ' ' || value[1] != ' ')
			appendStringInfoChar(text, *value);
}

/* canonical returns the canonical form of a request; *names: the signed headers. */
static char *
canonical(const EtlSigv4Request *request, char **names)
{
	EtlSigv4Pair *headers = sorted(request->n_header, request->header, false);
	StringInfoData text;
	StringInfoData list;

	initStringInfo(&text);
	initStringInfo(&list);
	appendStringInfo(&text, "%s\n%s\n%s\n", request->method, etl_url_encode(request->path, true),
					 etl_sigv4_query(request));
	for (int i = 0; i < request->n_header; i++)
	{
		appendStringInfo(&text, "%s:", headers[i].name);
		append_trimmed(&text, headers[i].value);
		appendStringInfoChar(&text, '\n');
		appendStringInfo(&list, "%s%s", i > 0 ? ";" : "", headers[i].name);
	}
	appendStringInfo(&text, "\n%s\n%s", list.data, request->payload);
	*names = list.data;
	return text.data;
}

/* signing_key derives the key of a day, region and service. */
static void
signing_key(const EtlSigv4Request *request, const char *day, uint8 *key)
{
	char *secret = psprintf("AWS4%s", request->secret_key);

	etl_hash_hmac((const uint8 *) secret, strlen(secret), day, key);
	explicit_bzero(secret, strlen(secret));
	etl_hash_hmac(key, ETL_SHA256_LENGTH, request->region, key);
	etl_hash_hmac(key, ETL_SHA256_LENGTH, request->service, key);
	etl_hash_hmac(key, ETL_SHA256_LENGTH, "aws4_request", key);
}

/* etl_sigv4_sign signs. */
char *
etl_sigv4_sign(const EtlSigv4Request *request)
{
	char *day = pnstrdup(request->time, 8);
	char *scope = psprintf("%s/%s/%s/aws4_request", day, request->region, request->service);
	uint8 digest[ETL_SHA256_LENGTH];
	uint8 key[ETL_SHA256_LENGTH];
	char *names;
	char *text = canonical(request, &names);

	etl_hash_sha256(text, strlen(text), digest);
	text = psprintf(ALGORITHM "\n%s\n%s\n%s", request->time, scope, etl_hash_hex(digest, ETL_SHA256_LENGTH));
	signing_key(request, day, key);
	etl_hash_hmac(key, ETL_SHA256_LENGTH, text, digest);
	explicit_bzero(key, sizeof(key));
	return psprintf(ALGORITHM " Credential=%s/%s,SignedHeaders=%s,Signature=%s", request->access_key, scope, names,
					etl_hash_hex(digest, ETL_SHA256_LENGTH));
}

/* etl_sigv4_time prints a time in UTC. */
char *
etl_sigv4_time(pg_time_t time)
{
	char *text = palloc(32);

	(void) pg_strftime(text, 32, "%Y%m%dT%H%M%SZ", pg_gmtime(&time));
	return text;
}

#ifdef ETL_FAULTS
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(etl_sigv4_test);

/* read_pairs reads names and values that follow each other. */
static EtlSigv4Pair *
read_pairs(Datum array, int *n)
{
	Datum *element;
	bool *null;
	EtlSigv4Pair *pairs;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &element, &null, n);
	*n /= 2;
	pairs = palloc(sizeof(EtlSigv4Pair) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		pairs[i] = (EtlSigv4Pair){TextDatumGetCString(element[i * 2]), TextDatumGetCString(element[i * 2 + 1])};
	return pairs;
}

/* etl_sigv4_test signs a request as one of the published examples; the scope is time, region, service, access and secret key. */
Datum
etl_sigv4_test(PG_FUNCTION_ARGS)
{
	int n;
	Datum *scope;
	bool *null;
	EtlSigv4Request request = {.method = text_to_cstring(PG_GETARG_TEXT_PP(0)),
							   .path = text_to_cstring(PG_GETARG_TEXT_PP(1)),
							   .payload = text_to_cstring(PG_GETARG_TEXT_PP(4))};

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(5), TEXTOID, -1, false, TYPALIGN_INT, &scope, &null, &n);
	request.time = TextDatumGetCString(scope[0]);
	request.region = TextDatumGetCString(scope[1]);
	request.service = TextDatumGetCString(scope[2]);
	request.access_key = TextDatumGetCString(scope[3]);
	request.secret_key = TextDatumGetCString(scope[4]);
	request.query = read_pairs(PG_GETARG_DATUM(2), &request.n_query);
	request.header = read_pairs(PG_GETARG_DATUM(3), &request.n_header);
	PG_RETURN_TEXT_P(cstring_to_text(etl_sigv4_sign(&request)));
}
#endif
