/*
 * fault.h
 *		Points at which a test lets an executor fail. Only a build with "make FAULTS=1" has them; in any other build
 *		ETL_FAULT() is nothing, and neither the code nor the setting exists.
 *
 * The setting etl.fault lists faults, separated by commas: 'point:task:attempt:action', or 'point:task:attempt:action:n'
 * for the n-th time that the attempt comes to the point. Tests set it with ALTER DATABASE, which the next worker sees.
 *
 * action		what happens
 * error		an error that is retried, SQLSTATE 40001
 * error_final	an error that is not, SQLSTATE 22012
 * kill			the process ends by SIGKILL: the server restarts
 * terminate	the process gets SIGTERM and waits for it to be heard
 * wait			waits for advisory lock ETL_FAULT_LOCK, which the test holds: pg_advisory_lock(77)
 *
 * Points: claimed, fetched (a batch was read), raw_written (and stored, with watermark), keys_read (of deletes =>
 * 'compare'), before_merge, after_merge (of a load or an aggregate), before_commit and after_commit (of the attempt, and of
 * each batch of an extract). claimed and after_commit lie outside of a transaction. Of tasks that are published at one commit,
 * the first comes to claimed and the last to before_commit and after_commit.
 */
#ifndef ETL_FAULT_H
#define ETL_FAULT_H

#ifdef ETL_FAULTS

#define ETL_FAULT_LOCK 77

extern void etl_fault_init(void);

/* Which attempt the process works on; before that no point does anything. task is kept. */
extern void etl_fault_begin(const char *task, int attempt);
extern void etl_fault_reach(const char *point);

#define ETL_FAULT_INIT() etl_fault_init()
#define ETL_FAULT_BEGIN(task, attempt) etl_fault_begin(task, attempt)
#define ETL_FAULT(point) etl_fault_reach(point)

#else

#define ETL_FAULT_INIT() ((void) 0)
#define ETL_FAULT_BEGIN(task, attempt) ((void) 0)
#define ETL_FAULT(point) ((void) 0)

#endif /* ETL_FAULTS */

#endif /* ETL_FAULT_H */
