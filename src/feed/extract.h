/*
 * extract.h
 *		Extracts from feeds: what differs from those of sources that can be asked in SQL.
 */
#ifndef ETL_FEED_EXTRACT_H
#define ETL_FEED_EXTRACT_H

#include "nodes/pg_list.h"
#include "source/extract_run.h"

/* Reads what the feed has; the extract is prepared, and a step is open before and after. */
extern void etl_feed_extract_run(EtlExtract *extract);

/*
 * Checks settings of an extract that only feeds have, or that they lack, and lets the feed fill in what follows from the
 * foreign table's options. For every source. Errors: 22023, and those of the feed.
 */
extern void etl_feed_extract_define(EtlTask *task, const EtlSource *source);

/* Lines for explain_task, and a list of EtlProblem for validate, of a source that is a feed's. */
extern List *etl_feed_extract_explain(const EtlReadRequest *request);
extern List *etl_feed_extract_problems(const EtlReadRequest *request);

#endif /* ETL_FEED_EXTRACT_H */
