/* run.h: the table etl.run. */
#ifndef ETL_RUN_H
#define ETL_RUN_H

#include "catalog/task.h"
#include "dag/publication.h"
#include "dag/state.h"

/* A run as its scheduler sees it. The definition is the one that the run was created with. */
typedef struct EtlRun
{
	int64 run_id;
	EtlRunState state;
	int64 waiter; /* 0: nobody waits */
	TimestampTz started_at;
	bool cancel_requested;
	int64 backfill_id; /* 0: none */
	EtlPipeline *pipeline;
	EtlTaskList tasks;			 /* without the checks that are gates */
	EtlGraph *graph;			 /* over tasks */
	EtlPublication *publication; /* the tasks that commit together; NULL: each by itself */
} EtlRun;

/* What task SQL can ask about its run. */
typedef struct EtlRunInfo
{
	int64 run_id;
	bool full_refresh;
	int64 replay_from; /* 0: none */
	bool force;
	TimestampTz logical_time;
	TimestampTz interval_start; /* DT_NOBEGIN: none */
	TimestampTz interval_end;
	int64 backfill_id; /* 0: none; otherwise extracts read the interval and leave the watermark alone */
	Jsonb *params;
} EtlRunInfo;

/* One line of a list of runs. */
typedef struct EtlRunLine
{
	int64 run_id;
	int64 pipeline_id;
	EtlRunState state;
	int64 waiter;
	TimestampTz started_at;
	bool cancel_requested;
	int64 backfill_id;		 /* 0: none */
	TimestampTz deadline_at; /* DT_NOEND: none, or missed already */
} EtlRunLine;

extern EtlPipeline *etl_run_pipeline_for(const char *name, Oid caller);
extern int64 etl_run_create(Jsonb *request, Oid caller, EtlRunState *state);
extern int etl_run_reopen(int64 pipeline_id, int64 run_id, bool latest, int64 waiter);
extern EtlRun *etl_run_load(int64 run_id);
extern bool etl_run_info(int64 run_id, EtlRunInfo *info);
extern int etl_run_active(EtlRunLine **line);
extern bool etl_run_deadline_missed(int64 run_id);
extern bool etl_run_state(int64 run_id, EtlRunState *state, char **message);
extern char *etl_run_pipeline_name(int64 run_id);
extern bool etl_run_cancel(int64 run_id, const char *message);
extern bool etl_run_cancel_requested(int64 run_id);
extern bool etl_run_update(int64 run_id, EtlRunState from, EtlRunState to, const char *message);

#endif /* ETL_RUN_H */
