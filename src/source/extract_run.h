/*
 * extract_run.h
 *		An extract at work: what the parts of extract.c share. Each part does one thing in the order of extract.c.
 */
#ifndef ETL_EXTRACT_RUN_H
#define ETL_EXTRACT_RUN_H

#include "catalog/batch.h"
#include "source/bounds.h"
#include "source/overlap.h"
#include "source/raw_sink.h"
#include "source/reader.h"

typedef struct EtlExtract EtlExtract;

/* Records a batch in the transaction that holds its rows; state says how far it reaches. */
typedef void (*EtlBatchRecord)(EtlExtract *extract, EtlBatch *batch, const EtlReadState *state);

struct EtlExtract
{
	EtlRowSink sink; /* rows of the reader come in here */
	EtlAttempt *attempt;
	MemoryContext context;		 /* of the run, over all steps */
	MemoryContext batch_context; /* of one batch */
	MemoryContext row_context;	 /* of one row */
	Oid raw;
	EtlSource *source;
	EtlRemote *remote;		/* connected; NULL: the source has no server that we connect to ourselves */
	const char *remote_why; /* why remote is NULL */
	EtlNames columns;		/* to be taken; n = 0: all. Those of the task, or what drift.c leaves of all */
	EtlReadRequest request; /* what the next reader is opened with */
	EtlBounds bounds;
	EtlReader *reader;	 /* NULL: none is open */
	EtlOverlap *overlap; /* NULL: no row can be there already */
	EtlRawSink *batch;
	EtlBatchRecord record;
	TimestampTz
		snapshot_safe_at;	/* with request.snapshot: all that began before have ended in it; DT_NOBEGIN: unknown */
	struct EtlWhole *whole; /* of a read in key order; NULL: it is none (whole.h) */
	int64 skipped;			/* rows that the raw table had already */
	int64 null_cursors;		/* rows without a cursor, over all batches */
	char *reached;			/* highest cursor value that the raw table has when the next batch is committed */
};

/* An extract for an attempt; and what is needed to read in a process that helps: connection, columns, snapshot. */
extern EtlExtract *etl_extract_make(EtlAttempt *attempt);
extern void etl_extract_join(EtlExtract *extract);

/* Opens the best reader for extract->request, and notes which one and why. */
extern void etl_extract_open(EtlExtract *extract);
extern void etl_extract_close(EtlExtract *extract);

/* Loads what the raw table has of the rows that will be read again; with a step open. */
extern void etl_extract_open_overlap(EtlExtract *extract);

/*
 * Reads and appends one batch, and records it; with a step open before and after, which may not be the same one. The
 * caller commits with etl_attempt_step. False: the reader has no more.
 */
extern bool etl_extract_batch(EtlExtract *extract);

/* Records as an extract in cursor order does: etl.batch, watermark (within bounds), counts. */
extern void etl_extract_record(EtlExtract *extract, EtlBatch *batch, const EtlReadState *state);

/* Adds a batch to the counts of the attempt: part of every EtlBatchRecord. */
extern void etl_extract_count(EtlExtract *extract, const EtlBatch *batch, const EtlReadState *state);

/* Ends the batch that the current step appends to by other means than a reader (delete markers): a fresh etl.batch row. */
extern void etl_extract_begin_batch(EtlExtract *extract, EtlBatch *batch);

/* Refuses (ZE012) a batch of which not all rows that were read were appended, or recognised (verify.c). */
extern void etl_verify_appended(const EtlExtract *extract, const EtlReadState *state, int64 appended, int64 skipped);

/* ---- the parts ------------------------------------------------------------------------------------------------------ */

/*
 * drift.c: compares the columns of the source's server with the foreign table and the raw table, and carries out
 * schema_drift. With a step open; may end it and begin another. Called before extract->source is described for good.
 */
extern void etl_drift_check(EtlExtract *extract);

/*
 * commit_bound.c: sets bounds.safe and bounds.hold, from what is open at the source now. The reader is open and has read
 * nothing; a step is open before and after, which are not the same: the read sees more than this saw.
 */
extern void etl_commit_bound_find(EtlExtract *extract);

/*
 * whole.c: reads the whole source in the order of its key, with progress in etl.extract_progress, in slices shared with
 * other workers if the task says so; at the end the watermark. Used when there is a key and no lower bound.
 */
extern bool etl_whole_is_due(const EtlExtract *extract);
extern void etl_whole_run(EtlExtract *extract);

/* interval.c: reads in chunks of chunk_interval. Used when the task has it and the cursor is a time. */
extern bool etl_interval_is_due(const EtlExtract *extract);
extern void etl_interval_run(EtlExtract *extract);

/* snapshot_group.c: sets request.snapshot to that of the group in this run, made when missing. */
extern void etl_snapshot_group_join(EtlExtract *extract);

/* deletes.c: request.deleted for column:, and the comparison of keys after the read for compare. */
extern const char *etl_deletes_condition(const EtlTask *task);
extern void etl_deletes_compare(EtlExtract *extract);

#endif /* ETL_EXTRACT_RUN_H */
