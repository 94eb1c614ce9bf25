/*
 * style.h
 *		The style sheet and the script of the page, and the hashes by which its Content-Security-Policy allows them.
 */
#ifndef ETL_STYLE_H
#define ETL_STYLE_H

extern const char etl_style_sheet[];
extern const char etl_style_script[];

/* 'sha256-…' of a text, as in a Content-Security-Policy. */
extern char *etl_style_hash(const char *text);

#endif /* ETL_STYLE_H */
