/*
 * page.h
 *		The report of a pipeline: one page of HTML that needs nothing else.
 */
#ifndef ETL_PAGE_H
#define ETL_PAGE_H

#include "lib/stringinfo.h"

/* Appends the page with the latest runs, at most runs, as the current user may see it. Errors: 42704. */
extern void etl_page_write(StringInfo out, const char *pipeline, int runs);

#endif /* ETL_PAGE_H */
