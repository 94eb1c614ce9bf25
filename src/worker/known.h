/*
 * known.h
 *		What the scheduler remembers of the active runs between two looks: their definitions, of which only the owners can
 *		change, and the states of their tasks as they were last read. All of it can be read again at any time.
 */
#ifndef ETL_KNOWN_H
#define ETL_KNOWN_H

#include "catalog/run.h"
#include "catalog/task_run.h"
#include "worker/pick.h"

/* Longest time between two looks at a run with tasks at work of which no signal comes, in ms. */
#define ETL_LOOK_AT_WORK 1000

typedef struct EtlKnown
{
	int64 run_id;	   /* hash key */
	uint32 generation; /* of the roles that it names */
	EtlRun *run;
	EtlTaskRun *current;   /* of run->tasks; NULL: not read yet */
	TimestampTz next_look; /* DT_NOBEGIN: at the next step */
	MemoryContext context;
	MemoryContext state_context; /* of current */
} EtlKnown;

extern EtlKnown *etl_known_get(const EtlRunLine *line);
extern EtlKnown *etl_known_find(int64 run_id);
extern void etl_known_read_tasks(EtlKnown *known);
extern void etl_known_forget(int64 run_id);
extern void etl_known_candidates(EtlPick *pick);

#endif /* ETL_KNOWN_H */
