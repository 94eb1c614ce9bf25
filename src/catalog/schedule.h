/* schedule.h: the table etl.schedule, how far each schedule has been carried out in this database. */
#ifndef ETL_SCHEDULE_H
#define ETL_SCHEDULE_H

#include "etl_ext.h"

/* A schedule that is carried out: of a pipeline that is not paused, and begun in this database. */
typedef struct EtlScheduleLine
{
	int64 pipeline_id;
	char *pipeline;
	char *schedule;
	char *timezone;
	Oid owner;
	TimestampTz decided_until;
} EtlScheduleLine;

/* The schedules that are carried out. */
extern int etl_schedule_list(EtlScheduleLine **line);

/* Locks a pipeline's row until the end of the transaction; false: somebody else has it, or it is gone. Never waits. */
extern bool etl_schedule_lock(int64 pipeline_id);

/* How far a schedule has come; false: it has not begun in this database. */
extern bool etl_schedule_get(int64 pipeline_id, TimestampTz *decided_until);

/* Notes how far a schedule has come; begin: also if that was further, for one that begins anew. */
extern void etl_schedule_set(int64 pipeline_id, TimestampTz decided_until, bool begin);

/* Number of the pipeline's runs for scheduled times that wait in the queue, and the last of these times. */
extern int64 etl_schedule_queued(int64 pipeline_id, TimestampTz *last);

#endif /* ETL_SCHEDULE_H */
