/*
 * slice.c
 *		Reads ranges of the key with several workers. See whole.h.
 */
#include "postgres.h"

#include "source/whole.h"
#include "worker/attempt.h"

/* etl_slice_cut cuts nothing yet. */
char **
etl_slice_cut(EtlExtract *extract, int *n)
{
	*n = 1;
	return NULL;
}

/* etl_slice_read_all reads one range after the other. */
void
etl_slice_read_all(EtlExtract *extract)
{
	for (int i = 0; i < extract->whole->n; i++)
	{
		if (extract->whole->range[i].done)
			continue;
		etl_whole_read(extract, i);
		etl_attempt_step(extract->attempt);
	}
	etl_extract_progress_claim(extract->attempt);
}
