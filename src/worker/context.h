/* context.h: what task SQL can ask about the run that it is part of. */
#ifndef ETL_CONTEXT_H
#define ETL_CONTEXT_H

#include "catalog/run.h"

/* info must live until etl_context_set(NULL). */
extern void etl_context_set(const EtlRunInfo *info);

/* Whether SQL that is executed now is part of a task. */
extern bool etl_context_exists(void);

#endif /* ETL_CONTEXT_H */
