/*
 * sample.h
 *		Some of the rows that a check found at fault, so that a person can look for the cause.
 */
#ifndef ETL_SAMPLE_H
#define ETL_SAMPLE_H

#include "quality/measure.h"

/*
 * A JSON array of at most as many rows as the check keeps: {"key", "values", "raw"}. key: by the task that keeps the
 * target, or its primary key; values: the columns that the check looks at; raw: where the row came from, as far as that is
 * known: the batch of a raw table, file and line, partition and offset. NULL: none, or the type knows no rows at fault. As
 * the current user, with the author's search_path.
 */
extern Jsonb *etl_sample_rows(const EtlProbe *probe, int64 run_id);

/* The same for rows of another relation with the columns of the target, which stands for it under the target's alias. */
extern Jsonb *etl_sample_rows_of(const EtlProbe *probe, const char *relation, const char *condition, int64 run_id);

#endif /* ETL_SAMPLE_H */
