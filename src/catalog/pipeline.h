/* pipeline.h: the table etl.pipeline. */
#ifndef ETL_PIPELINE_H
#define ETL_PIPELINE_H

#include "catalog/spi.h"

extern EtlPipeline *etl_pipeline_find(const char *name, bool lock);
extern EtlPipeline *etl_pipeline_get(const char *name);
extern char *etl_pipeline_name(int64 pipeline_id);
extern EtlPipeline *etl_pipeline_parse(Jsonb *definition);
extern Jsonb *etl_pipeline_definition(int64 pipeline_id);
extern int64 etl_pipeline_insert(const EtlPipeline *pipeline);
extern void etl_pipeline_update(const EtlPipeline *pipeline);
extern void etl_pipeline_delete(int64 pipeline_id);
extern int etl_pipeline_unscheduled(Oid role, int64 **pipeline_id);
extern EtlNames etl_pipeline_names_checking(const char *target);
extern bool etl_pipeline_active(int64 pipeline_id);

#endif /* ETL_PIPELINE_H */
