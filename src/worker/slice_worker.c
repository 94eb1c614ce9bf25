/*
 * slice_worker.c
 *		The worker that reads ranges of the key for the executor of an extract. See source/slice.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/extension.h"
#include "fault.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "source/slice.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker/bgw.h"
#include "worker/context.h"
#include "worker/work.h"

extern PGDLLEXPORT void etl_slice_main(Datum arg);

/* prepare reads what the attempt is about; false: the extension is gone. */
static bool
prepare(int64 task_run_id, EtlWork *work, EtlRunInfo *info)
{
	MemoryContext old;
	EtlTask *task;
	int64 run_id;

	if (!etl_extension_hold())
		return false;
	old = MemoryContextSwitchTo(TopMemoryContext);
	task = etl_task_run_task(task_run_id, &run_id);
	etl_run_info(run_id, info);
	etl_work_prepare(work, task, run_id, task_run_id);
	ETL_FAULT_BEGIN(psprintf("%s/slice", task->name), etl_task_run_attempt(task_run_id));
	MemoryContextSwitchTo(old);
	etl_work_of_run(work, info);
	work->attempt.is_helper = true;
	return true;
}

/* help does the part of this worker. */
static void
help(int64 task_run_id, EtlSliceShare *share)
{
	EtlRunInfo info;
	EtlWork work;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	XactReadOnly = false;
	if (prepare(task_run_id, &work, &info))
	{
		etl_context_set(&info);
		etl_slice_help(&work.attempt, share);
		etl_context_set(NULL);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* etl_slice_main is the worker's entry. Its executor is woken when it ends. */
void
etl_slice_main(Datum arg)
{
	EtlBgwParams params = etl_bgw_begin();
	dsm_segment *dsm;
	EtlHelperShare *share;

	etl_helper_signals();
	dsm = dsm_attach(params.request);
	if (dsm == NULL)
		proc_exit(0); /* the executor has given up */
	dsm_pin_mapping(dsm);
	share = dsm_segment_address(dsm);
	etl_live_join(share->live);
	PG_TRY();
	{
		help(params.task_run_id, (EtlSliceShare *) share);
		pg_atomic_fetch_add_u32(&share->finished, 1);
	}
	PG_CATCH();
	{
		etl_helper_fail(share);
	}
	PG_END_TRY();
	pgstat_report_stat(true);
	proc_exit(0);
}
