/*
 * model.h
 *		What the report and the graph of a pipeline show, as the caller may see it.
 *
 * All SQL runs as the caller over tables and views with row policies, with a pinned search_path, between etl_model_begin and
 * etl_model_end. What is read lives until etl_model_end.
 */
#ifndef ETL_MODEL_H
#define ETL_MODEL_H

#include "catalog/spi.h"
#include "dag/graph.h"
#include "report/layout.h"
#include "report/mark.h"

/* A task; its index is its node in the graph. */
typedef struct EtlModelTask
{
	int64 task_id;
	char *name;
	char *kind;
	char *source;
	char *target;
	char *gate; /* check: the task that it gates */
	char *description;
	bool published; /* at one commit with others (atomic_publish) */
	EtlMark mark;	/* in the run that is shown */
	int last;		/* its last attempt in that run: index into attempt; -1: none */
} EtlModelTask;

/* An attempt in the run that is shown. Times are seconds since 1970; 0: none. */
typedef struct EtlModelAttempt
{
	int task; /* -1: the task is not in the definition any more */
	char *name;
	int attempt;
	char *state;
	EtlMark mark;
	double ready;
	double started;
	double ended;
	char *started_text;
	int64 rows_read;
	int64 rows_inserted;
	int64 rows_updated;
	int64 rows_deleted;
	int64 rows_rejected;
	bool has_rows;
	char *reader;
	char *message;
	char *sqlstate;
	char *error;
	char *detail;
	char *hint;
} EtlModelAttempt;

typedef struct EtlModelRun
{
	int64 run_id;
	char *state;
	EtlMark mark;
	char *started_text; /* or when it was asked for */
	double started;
	double ended;
	bool backfill;
	bool rolled_back;
	char *message;
	char *day; /* YYYY-MM-DD */
} EtlModelRun;

/* A task in a run. */
typedef struct EtlModelCell
{
	EtlMark mark;
	int attempt;
	float seconds; /* below 0: not known */
	char *note;
} EtlModelCell;

typedef struct EtlModel
{
	int64 pipeline_id;
	char *name;
	char *description;
	char *owner;
	char *schedule;
	char *timezone;
	char *deadline;
	char *next_due;
	char *made_at;
	double now;
	bool paused;
	bool atomic_publish;

	int n_tasks;
	EtlModelTask *task; /* by task_id */
	EtlGraph *graph;
	EtlLayout *layout;

	int n_runs;
	EtlModelRun *run; /* oldest first */
	int shown;		  /* index of the run that is shown; -1: none */

	int n_attempts;
	EtlModelAttempt *attempt; /* of that run, by task and attempt */
	EtlModelCell *cell;		  /* [task * n_runs + run] */
} EtlModel;

/* What etl_model_begin changed. */
typedef struct EtlModelScope
{
	int guc_level;
} EtlModelScope;

extern void etl_model_begin(EtlModelScope *scope);
extern void etl_model_end(EtlModelScope *scope);

/* A query with the arguments $1 and $2, both bigint; its rows are there until the next one. */
extern uint64 etl_model_query(const char *sql, int64 first, int64 second);
extern EtlRow etl_model_row(uint64 n);

/* The pipeline with its tasks and their order. Errors: 42704 when there is none that the caller may see. */
extern EtlModel *etl_model_pipeline(const char *name);

/* Its latest runs, at most runs; the run to show; its attempts; and what became of each task in each run. */
extern void etl_model_history(EtlModel *model, int runs);

/* One run only, with the tasks that it was created with. NULL: the latest, with the tasks of now. Errors: 42704. */
extern void etl_model_run(EtlModel *model, const int64 *run_id);

#endif /* ETL_MODEL_H */
