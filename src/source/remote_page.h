/*
 * remote_page.h
 *		The SQL of one page of a source in the source's own dialect: text only.
 *
 * Values are untyped string constants, which take the type of the column that they are compared with, and text is compared
 * byte by byte (COLLATE "C", BINARY), so that both servers agree on the order whatever their collations.
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
	int limit;	 /* 0: none */
} EtlRemotePage;

/* The query for the page's rows. */
extern char *etl_remote_page_select(const EtlRemotePage *page);

/* count(*), min(column)::text, max(column)::text within the page's bounds; column >= from if from is not NULL. */
extern char *etl_remote_page_edges(const EtlRemotePage *page, int column, const char *from);

/* The indexes in source->column of cursor (if with_cursor and there is one) and key columns; returns how many. */
extern int etl_remote_page_order(const EtlReadRequest *request, bool with_cursor, int *order);

#endif /* ETL_REMOTE_PAGE_H */
