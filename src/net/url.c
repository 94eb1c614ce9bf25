/*
 * url.c
 *		Pieces of addresses. See url.h.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "net/url.h"

/* etl_url_encode encodes byte by byte. */
char *
etl_url_encode(const char *text, bool keep_slash)
{
	StringInfoData result;

	initStringInfo(&result);
	for (const unsigned char *c = (const unsigned char *) text; *c; c++)
	{
		if ((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' ||
			*c == '.' || *c == '_' || *c == '~' || (*c == '/' && keep_slash))
			appendStringInfoChar(&result, *c);
		else
			appendStringInfo(&result, "%%%02X", *c);
	}
	return result.data;
}
