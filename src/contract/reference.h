/*
 * reference.h
 *		What a task names: relations and columns that it reads and writes itself. What it reads through a view is the view's:
 *		PostgreSQL keeps the columns of a view as long as there is the view.
 */
#ifndef ETL_CONTRACT_REFERENCE_H
#define ETL_CONTRACT_REFERENCE_H

#include "etl_ext.h"

/* Finds and stores it. Names are read as the owner of the task, with its author's search_path. */
extern void etl_reference_store(const EtlPipeline *pipeline, const EtlTask *task, int64 task_id);

#endif /* ETL_CONTRACT_REFERENCE_H */
