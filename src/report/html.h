/*
 * html.h
 *		Text of the page: what comes from users is escaped, numbers and lengths of time become words. Pure.
 */
#ifndef ETL_HTML_H
#define ETL_HTML_H

#include "lib/stringinfo.h"

/* Appends text with what HTML would read as markup escaped, for content and for quoted attributes; NULL is nothing. */
extern void etl_html_text(StringInfo out, const char *text);

/* The same, cut off with an ellipsis where it is wider than columns (characters of East Asia count twice). */
extern void etl_html_clip(StringInfo out, const char *text, int columns);

/* Words for a length of time, a number with groups of three digits, bytes, and a number of about three digits. */
extern char *etl_html_seconds(double seconds);
extern char *etl_html_count(int64 n);
extern char *etl_html_bytes(double bytes);
extern char *etl_html_number(double value);

#endif /* ETL_HTML_H */
