/*
 * parts.c
 *		Reads in cursor order. See parts.h.
 *
 * Rows that were read before are recognised by what the raw table has of them (overlap.c), of which etl.compare_rows are
 * held at a time. Where there are more, as behind a watermark that was moved back, the source is read in parts: up to the
 * cursor value at which that many are reached, then from there on. Each part ends with its batches committed and the
 * watermark at its end, as far as that is safe.
 */
#include "postgres.h"

#include "source/parts.h"
#include "utils/memutils.h"

/* find_part opens the overlap of what is left, and bounds the request where only a part of it can be held. */
static char *
find_part(EtlExtract *extract)
{
	EtlReadRequest *request = &extract->request;
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	char *cut = NULL;

	etl_overlap_close(extract->overlap);
	extract->overlap = etl_overlap_open(request, extract->raw, extract->bounds.reached);
	if (extract->overlap && etl_overlap_is_full(extract->overlap))
	{
		cut = etl_overlap_cut(request);
		if (cut)
		{
			request->below = cut;
			etl_overlap_close(extract->overlap);
			extract->overlap = etl_overlap_open(request, extract->raw, extract->bounds.reached);
		}
		if (extract->overlap && etl_overlap_is_full(extract->overlap))
			etl_attempt_note(extract->attempt,
							 "More rows than etl.compare_rows have the same cursor value; some of them may have been"
							 " appended again.");
	}
	MemoryContextSwitchTo(old);
	return cut;
}

/* read_all reads what the reader has. */
static void
read_all(EtlExtract *extract)
{
	while (etl_extract_batch(extract))
		etl_attempt_step(extract->attempt);
	etl_extract_close(extract);
}

/* etl_parts_read: rows without a cursor belong to the first part. */
void
etl_parts_read(EtlExtract *extract)
{
	EtlReadRequest *request = &extract->request;
	const EtlReadRequest whole = *request;
	char *cut;

	while (extract->bounds.reached && (cut = find_part(extract)) != NULL)
	{
		etl_extract_close(extract);
		etl_extract_open(extract);
		read_all(extract);
		etl_attempt_step(extract->attempt);
		request->lower = cut;
		request->below = whole.below;
		request->null_cursors = false;
		etl_extract_open(extract);
	}
	read_all(extract);
	request->lower = whole.lower;
	request->null_cursors = whole.null_cursors;
}
