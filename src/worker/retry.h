/* retry.h: whether and when a failed attempt is tried again: pure, no I/O. */
#ifndef ETL_RETRY_H
#define ETL_RETRY_H

#include "etl_ext.h"

extern bool etl_retry_due(const EtlTask *task, int retry, const char *sqlstate, TimestampTz ended_at,
						  TimestampTz *due_at);
extern bool etl_retry_after_crash(const EtlTask *task);

#endif /* ETL_RETRY_H */
