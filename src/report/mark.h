/*
 * mark.h
 *		How the states of runs, tasks and checks are shown: a colour, a sign that does not need the colour, and a word.
 */
#ifndef ETL_MARK_H
#define ETL_MARK_H

typedef enum EtlMark
{
	ETL_MARK_NONE, /* was not part of it */
	ETL_MARK_SUCCESS,
	ETL_MARK_WARNING,
	ETL_MARK_FAILED,
	ETL_MARK_UPSTREAM_FAILED,
	ETL_MARK_SKIPPED,
	ETL_MARK_CANCELLED,
	ETL_MARK_RUNNING,
	ETL_MARK_RETRY,
	ETL_MARK_WAITING /* ready and queued as well */
} EtlMark;

#define ETL_MARKS (ETL_MARK_WAITING + 1)

typedef struct EtlMarkLook
{
	const char *name;	 /* as in etl.task_run.state */
	const char *css;	 /* class in the page */
	const char *sign;	 /* one character */
	const char *meaning; /* in the legend */
	const char *fill;	 /* colours in graphs that have no theme */
	const char *text;
} EtlMarkLook;

extern const EtlMarkLook etl_mark_look[ETL_MARKS];

/* The mark of a state of etl.run or etl.task_run, and of etl.check_result; NULL is ETL_MARK_NONE. */
extern EtlMark etl_mark_state(const char *state);
extern EtlMark etl_mark_check(const char *state);

#endif /* ETL_MARK_H */
