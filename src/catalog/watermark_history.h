/* watermark_history.h: the table etl.watermark_history. */
#ifndef ETL_WATERMARK_HISTORY_H
#define ETL_WATERMARK_HISTORY_H

#include "etl_ext.h"

/* A move of a watermark; from and to as in etl.watermark, NULL: none. */
typedef struct EtlWatermarkMove
{
	int64 task_id;
	int64 run_id; /* 0: moved by hand or by a change of the definition */
	int64 task_run_id;
	Oid moved_by;
	Oid type;
	const char *from;
	const char *to;
	const char *reason;
} EtlWatermarkMove;

extern void etl_watermark_history_insert(const EtlWatermarkMove *move);

#endif /* ETL_WATERMARK_HISTORY_H */
