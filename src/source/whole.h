/*
 * whole.h
 *		A read of a whole source in the order of its key: what whole.c and slice.c share.
 */
#ifndef ETL_WHOLE_H
#define ETL_WHOLE_H

#include "catalog/extract_progress.h"
#include "source/extract_run.h"
#include "worker/helper.h"

struct EtlWhole
{
	int n; /* key ranges; 1: the source is not sliced */
	EtlProgress *range;
	EtlProgress *current; /* range that is read now */
	const char *filter;	  /* of the extract, without the bounds of a range */
	EtlHelperShare *team; /* whose errors end the read; NULL: it has no helpers */
};

/* Reads what is left of a range, one chunk after the other, and marks it as done, which the caller commits. */
extern void etl_whole_read(EtlExtract *extract, int range);

/* Prepares an extract for etl_whole_read with the ranges that are in etl.extract_progress; false: there are none. */
extern bool etl_whole_load(EtlExtract *extract);

/* The ends of a column at and above from (NULL: all), asked of the open reader; in the extract's memory context. */
extern void etl_whole_edges(EtlExtract *extract, const EtlColumn *column, const char *from, EtlEdges *edges);

/*
 * slice.c: cuts a source into ranges of its first key column, in as many as the task has slices; NULL: it cannot, and
 * has noted why. extract->reader is open. And reads all ranges, together with workers that it starts.
 */
extern char **etl_slice_cut(EtlExtract *extract, int *n);
extern void etl_slice_read_all(EtlExtract *extract);

#endif /* ETL_WHOLE_H */
