/*
 * page.h
 *		The SQL of one page of a source: text only, nothing is executed here.
 *
 * A paged read orders by the cursor and the primary key and starts each page after the last row of the one before. All
 * bounds are typed literals, and keys are compared column by column: postgres_fdw and mysql_fdw send such conditions,
 * the order and the limit to the source (ROW comparisons and parameters they do not, or not exactly).
 */
#ifndef ETL_PAGE_H
#define ETL_PAGE_H

#include "source/raw_map.h"
#include "source/relation.h"

typedef struct EtlPage
{
	const EtlSource *source;
	const EtlRawMap *map;
	const char *filter;		 /* SQL condition, or NULL */
	const char *deleted;	 /* SQL condition delivered as a column, or NULL */
	const EtlColumn *cursor; /* NULL: none */
	const char *lower;		 /* cursor >= lower, or NULL */
	const char *below;		 /* cursor < below, or NULL */
	const char *upper;		 /* order[0] <= upper, or NULL */
	const char *until;		 /* the same for the end of a key range */
	bool null_cursors;		 /* the rows whose cursor is NULL, and only those */
	bool null_too;			 /* the rows within the bounds or whose cursor is NULL */
	bool not_null;			 /* no rows whose cursor is NULL */
	int n_order;			 /* 0: all in one piece, in any order */
	const EtlColumn **order;
	char **last; /* values of order in the last row taken; NULL: from the start */
	char **upto; /* rows up to these values of order, inclusive; NULL: to the end */
	int limit;	 /* 0: none */
} EtlPage;

/*
 * The query for the page's rows: the mapped columns, then the cursor (if any), then deleted (if any), then the
 * order columns. */
extern char *etl_page_select(const EtlPage *page);

/* The number of rows within the same bounds, without limit. */
extern char *etl_page_count(const EtlPage *page);

/* count(*), min and max of a column within the same bounds; column >= from if from is not NULL. */
extern char *etl_page_edges(const EtlPage *page, const EtlColumn *column, const char *from);

/* count(*), min and max of a column (NULL: only count(*)) from behind last to upto, without limit. */
extern char *etl_page_chunk_edges(const EtlPage *page, const EtlColumn *column);

/* The highest value of order[0] in the source. */
extern char *etl_page_max(const EtlPage *page);

#endif /* ETL_PAGE_H */
