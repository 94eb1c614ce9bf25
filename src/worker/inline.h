/* inline.h: mode => 'inline': a whole run in the caller's transaction. */
#ifndef ETL_INLINE_H
#define ETL_INLINE_H

#include "worker/request.h"

extern int64 etl_inline_run(const EtlRequest *request);

#endif /* ETL_INLINE_H */
