/*
 * xml.c
 *		Elements of S3's answers. See xml.h.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "s3/xml.h"

/* find looks for a tag, exactly as it is written by S3: <Name> or </Name>. */
static const char *
find(const char *at, const char *end, const char *tag)
{
	size_t length = strlen(tag);

	while (at < end && (at = memchr(at, '<', end - at)) != NULL)
	{
		if ((size_t) (end - at) >= length && memcmp(at, tag, length) == 0)
			return at;
		at++;
	}
	return NULL;
}

/* etl_xml_next finds an element. Elements of the same name are never nested there. */
bool
etl_xml_next(const char **at, const char *end, const char *name, const char **begin, const char **stop)
{
	char *open = psprintf("<%s>", name);
	char *close = psprintf("</%s>", name);
	const char *found = *at < end ? find(*at, end, open) : NULL;

	if (found == NULL)
		return false;
	*begin = found + strlen(open);
	*stop = find(*begin, end, close);
	if (*stop == NULL)
		return false;
	*at = *stop + strlen(close);
	return true;
}

/* append_number appends the character of a reference such as &#34; or &#x22;. */
static void
append_number(StringInfo text, const char *digits)
{
	unsigned long code = digits[0] == 'x' ? strtoul(digits + 1, NULL, 16) : strtoul(digits, NULL, 10);
	unsigned char utf8[5] = {0};

	if (code == 0 || code > 0x10ffff)
		return;
	(void) unicode_to_utf8((pg_wchar) code, utf8);
	appendBinaryStringInfo(text, (char *) utf8, pg_utf_mblen(utf8));
}

/* append_entity appends what an entity stands for. */
static void
append_entity(StringInfo text, const char *name)
{
	static const struct
	{
		const char *name;
		char c;
	} known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};

	for (int i = 0; i < lengthof(known); i++)
		if (strcmp(known[i].name, name) == 0)
			appendStringInfoChar(text, known[i].c);
	if (name[0] == '#')
		append_number(text, name + 1);
}

/* etl_xml_text decodes the text of an element. */
char *
etl_xml_text(const char *text, const char *end, const char *name)
{
	const char *begin;
	const char *stop;
	StringInfoData result;

	if (!etl_xml_next(&text, end, name, &begin, &stop))
		return NULL;
	initStringInfo(&result);
	while (begin < stop)
	{
		const char *semicolon = *begin == '&' ? memchr(begin, ';', Min(stop - begin, 12)) : NULL;

		if (semicolon)
		{
			append_entity(&result, pnstrdup(begin + 1, semicolon - begin - 1));
			begin = semicolon + 1;
		}
		else
			appendStringInfoChar(&result, *begin++);
	}
	return result.data;
}
