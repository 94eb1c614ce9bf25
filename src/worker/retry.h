/* retry.h: whether and when a failed attempt is tried again: pure, no I/O. */
#ifndef ETL_RETRY_H
#define ETL_RETRY_H

#include "etl_ext.h"

extern bool etl_retry_class(const char *sqlstate);
extern bool etl_retry_due(const EtlTask *task, int attempt, const char *sqlstate, TimestampTz ended_at,
						  TimestampTz *due_at);

#endif /* ETL_RETRY_H */
