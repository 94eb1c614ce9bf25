/* bi.h: roles that read what pipelines keep, and nothing else. */
#ifndef ETL_BI_H
#define ETL_BI_H

#include "etl_ext.h"

/* Gives the target of a new load or aggregate to those who may read it. */
extern void etl_bi_share(const EtlPipeline *pipeline, const EtlTask *task);

#endif /* ETL_BI_H */
