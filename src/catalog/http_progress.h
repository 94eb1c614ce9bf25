/*
 * http_progress.h
 *		etl.http_progress: where an extract from an API stands, and what its last complete read was answered.
 */
#ifndef ETL_HTTP_PROGRESS_H
#define ETL_HTTP_PROGRESS_H

#include "etl_ext.h"

typedef struct EtlHttpProgress
{
	int64 version; /* 0: there is no row; moved by every store */
	int64 run_id;
	bool full_refresh;
	bool unfinished; /* what follows up to highest counts */
	char *request;	 /* which question it is about */
	char *parent;	 /* NULL: no for_each */
	int64 page_number;
	char *page_cursor; /* NULL: by number, or the first page */
	int64 record;	   /* so many records of that page are done */
	char *page_hash;   /* of its records; NULL: not one is done */
	int64 received;	   /* records of the parent before that page */
	int pages;
	char *highest;
	char *etag; /* of the last complete read, if it took one page */
	char *last_modified;
} EtlHttpProgress;

/* Reads the row of a task, in the current memory context. */
extern void etl_http_progress_get(int64 task_id, EtlHttpProgress *progress);

/* Writes it, compare-and-set on version, which moves. Errors: ZE004 when another has moved it. */
extern void etl_http_progress_store(int64 task_id, EtlHttpProgress *progress);

extern void etl_http_progress_delete(int64 task_id);

#endif /* ETL_HTTP_PROGRESS_H */
