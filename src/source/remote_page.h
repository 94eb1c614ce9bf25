/*
 * remote_page.h
 *		The SQL of one page of a source in the source's own dialect: text only.
 *
 * Values are untyped constants, which take the type of the column that they are compared with. A text cursor is compared
 * byte by byte (COLLATE "C"), so that both servers agree on the watermark whatever their collations. A text key is only
 * ever compared by the source: in PostgreSQL with the column's own collation, which its index has; in MySQL byte by byte
 * too, because its collations take different texts as equal.
 */
#ifndef ETL_REMOTE_PAGE_H
#define ETL_REMOTE_PAGE_H

#include "source/remote_base.h"

typedef enum EtlPageNulls
{
	ETL_NULLS_AS_THEY_COME, /* no condition on NULL cursors beyond what the bounds say */
	ETL_NULLS_LEFT_OUT,		/* cursor IS NOT NULL */
	ETL_NULLS_ONLY,			/* cursor IS NULL, no bounds */
	ETL_NULLS_TOO			/* (bounds OR cursor IS NULL) */
} EtlPageNulls;

typedef struct EtlRemotePage
{
	const EtlReadRequest *request; /* remote, lower, below, until */
	const EtlRemoteBase *base;
	int n_select;
	char **select; /* expressions over base->column, in the source's dialect */
	EtlPageNulls nulls;
	int n_order; /* 0: any order, all in one piece */
	int *order;	 /* indexes in source->column */
	char **last; /* values of order in the last row taken; NULL: from the start */
	char **upto; /* values of order in the last row wanted, for etl_remote_page_edges; NULL: to the end */
	int limit;	 /* 0: none */
} EtlRemotePage;

/* The query for the page's rows. */
extern char *etl_remote_page_select(const EtlRemotePage *page);

/*
 * count(*), min(column) and max(column) as text within the page's bounds; column >= from if from is not NULL. Text is
 * taken byte by byte.
 */
extern char *etl_remote_page_edges(const EtlRemotePage *page, int column, const char *from);

/*
 * count(*) of the rows whose first order column is NULL: pages leave them out, and where it is a column of the key a
 * reader refuses them (23502).
 */
extern char *etl_remote_page_null_keys(const EtlRemotePage *page);

/* The indexes in source->column of cursor (if with_cursor and there is one) and key columns; returns how many. */
extern int etl_remote_page_order(const EtlReadRequest *request, bool with_cursor, int *order);

#endif /* ETL_REMOTE_PAGE_H */
