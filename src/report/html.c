/*
 * html.c
 *		Text of the page. See html.h.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "report/html.h"

/* append_char adds one character of length bytes, escaped. */
static void
append_char(StringInfo out, const char *c, int length)
{
	if (length > 1)
		appendBinaryStringInfo(out, c, length);
	else if (*c == '<')
		appendStringInfoString(out, "&lt;");
	else if (*c == '>')
		appendStringInfoString(out, "&gt;");
	else if (*c == '&')
		appendStringInfoString(out, "&amp;");
	else if (*c == '"')
		appendStringInfoString(out, "&quot;");
	else if (*c == '\'')
		appendStringInfoString(out, "&#39;");
	/* Control characters are not allowed in HTML. */
	else if (((unsigned char) *c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f)
		appendStringInfoString(out, "\xef\xbf\xbd");
	else
		appendStringInfoChar(out, *c);
}

/* etl_html_text escapes the whole text. */
void
etl_html_text(StringInfo out, const char *text)
{
	etl_html_clip(out, text, PG_INT32_MAX);
}

/* etl_html_clip stops one column early, for the ellipsis, unless the rest fits. */
void
etl_html_clip(StringInfo out, const char *text, int columns)
{
	int width = 0;
	int keep = 0;
	const char *c;

	if (text == NULL)
		return;
	for (c = text; *c != '\0'; c += pg_mblen(c))
	{
		width += Max(pg_dsplen(c), 0);
		if (width > columns)
			break;
		if (width < columns)
			keep = c - text + pg_mblen(c);
	}
	if (*c == '\0')
		keep = c - text;
	for (const char *p = text; p < text + keep; p += pg_mblen(p))
		append_char(out, p, pg_mblen(p));
	if (*c != '\0')
		appendStringInfoString(out, "…");
}

/* etl_html_seconds uses the two largest units. */
char *
etl_html_seconds(double seconds)
{
	static const struct
	{
		int64 seconds;
		const char *unit;
	} part[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	int64 left;

	if (seconds < 0)
		return psprintf("-%s", etl_html_seconds(-seconds));
	if (seconds < 0.0995)
		return psprintf("%.0f ms", seconds * 1000);
	if (seconds < 9.95)
		return psprintf("%.1f s", seconds);
	left = (int64) rint(Min(seconds, 1e15));
	for (int i = 0; i < lengthof(part) - 1; i++)
	{
		int64 rest = left % part[i].seconds / part[i + 1].seconds;

		if (left < part[i].seconds)
			continue;
		if (rest == 0)
			return psprintf(INT64_FORMAT " %s", left / part[i].seconds, part[i].unit);
		return psprintf(INT64_FORMAT " %s " INT64_FORMAT " %s", left / part[i].seconds, part[i].unit, rest,
						part[i + 1].unit);
	}
	return psprintf(INT64_FORMAT " s", left);
}

/* etl_html_count groups with narrow spaces that do not break. */
char *
etl_html_count(int64 n)
{
	char *digits = psprintf(INT64_FORMAT, n);
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; digits[i] != '\0'; i++)
	{
		int left = strlen(digits) - i;

		if (i > 0 && left % 3 == 0 && digits[i - 1] != '-')
			appendStringInfoString(&out, "\xe2\x80\xaf");
		appendStringInfoChar(&out, digits[i]);
	}
	return out.data;
}

/* etl_html_bytes uses powers of 1000. */
char *
etl_html_bytes(double bytes)
{
	static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
	int i = 0;

	for (; bytes >= 999.5 && i < lengthof(unit) - 1; i++)
		bytes /= 1000;
	return psprintf("%.*f %s", i > 0 && bytes < 9.95 ? 1 : 0, bytes, unit[i]);
}

/* etl_html_number leaves out zeros at the end. */
char *
etl_html_number(double value)
{
	char *text;
	char *end;

	if (fabs(value) < 1e15 && (fabs(value) >= 100 || value == rint(value)))
		return etl_html_count((int64) rint(value));
	text = psprintf("%.*f", fabs(value) >= 10 ? 1 : fabs(value) >= 0.01 ? 2 : 4, value);
	end = text + strlen(text);
	while (end[-1] == '0')
		*--end = '\0';
	if (end[-1] == '.')
		*--end = '\0';
	return strcmp(text, "-0") == 0 ? pstrdup("0") : text;
}
