/*
 * request.c
 *		How a session hands a run to the scheduler. See request.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/audit_log.h"
#include "catalog/member.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/bgw.h"
#include "worker/request.h"
#include "worker/serve.h"

#define REPLY_TEXT 1024

typedef enum ReplyStatus
{
	REPLY_NONE,
	REPLY_RUN,
	REPLY_ERROR
} ReplyStatus;

/* The segment. The caller writes the first part before the worker starts; the worker writes the reply, status last. */
typedef struct Segment
{
	Oid caller; /* role that asks */
	int pid;	/* process to wake with the reply */

	pg_atomic_uint32 status; /* ReplyStatus */
	int64 run_id;
	EtlRunState state;
	int sqlerrcode;
	char message[REPLY_TEXT];
	char detail[REPLY_TEXT];
	char hint[REPLY_TEXT];

	char request[FLEXIBLE_ARRAY_MEMBER]; /* jsonb as text */
} Segment;

/* push_tasks adds the member "tasks": an array, unless all are meant. */
static void
push_tasks(JsonbParseState **state, const EtlNames *tasks)
{
	JsonbValue v = {.type = jbvString};

	if (tasks->name == NULL)
		return;
	v.val.string.val = "tasks";
	v.val.string.len = strlen("tasks");
	pushJsonbValue(state, WJB_KEY, &v);
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < tasks->n; i++)
	{
		v.val.string.val = tasks->name[i];
		v.val.string.len = strlen(tasks->name[i]);
		pushJsonbValue(state, WJB_ELEM, &v);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* etl_request_make writes a request as the object that etl_serve takes. */
Jsonb *
etl_request_make(const EtlRequest *request)
{
	JsonbParseState *state = NULL;
	JsonbValue *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	etl_member_push(&state, "kind", psprintf("%d", request->kind));
	if (request->run_id != 0)
		etl_member_push(&state, "run_id", psprintf(INT64_FORMAT, request->run_id));
	etl_member_push(&state, "latest", request->latest ? "true" : "false");
	etl_member_push(&state, "pipeline", request->pipeline);
	etl_member_push(&state, "mode", request->is_inline ? "inline" : "background");
	etl_member_push(&state, "full_refresh", request->full_refresh ? "true" : "false");
	if (request->is_replay)
		etl_member_push(&state, "is_replay", "true");
	if (request->replay_from != 0)
		etl_member_push(&state, "replay_from", psprintf(INT64_FORMAT, request->replay_from));
	etl_member_push(&state, "force", request->force ? "true" : "false");
	if (request->waiter != 0)
		etl_member_push(&state, "waiter", psprintf(INT64_FORMAT, request->waiter));
	if (!TIMESTAMP_IS_NOBEGIN(request->logical_time))
		etl_member_push(&state, "logical_time", timestamptz_to_str(request->logical_time));
	push_tasks(&state, &request->tasks);
	etl_audit_log_push(&state);
	if (request->params != NULL)
	{
		JsonbValue v = {.type = jbvString};

		v.val.string.val = "params";
		v.val.string.len = strlen("params");
		pushJsonbValue(&state, WJB_KEY, &v);
		v.type = jbvBinary;
		v.val.binary.data = &request->params->root;
		v.val.binary.len = VARSIZE(request->params) - VARHDRSZ;
		pushJsonbValue(&state, WJB_VALUE, &v);
	}
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(result);
}

/* make_segment puts a request into shared memory. */
static dsm_segment *
make_segment(const EtlRequest *request)
{
	Jsonb *object = etl_request_make(request);
	char *text = JsonbToCString(NULL, &object->root, VARSIZE(object));
	dsm_segment *dsm = dsm_create(offsetof(Segment, request) + strlen(text) + 1, 0);
	Segment *segment = dsm_segment_address(dsm);

	memset(segment, 0, offsetof(Segment, request));
	segment->caller = GetUserId();
	segment->pid = MyProcPid;
	pg_atomic_init_u32(&segment->status, REPLY_NONE);
	strcpy(segment->request, text);
	return dsm;
}

/* start_worker registers the worker, waiting as long as the server has no free slot. */
static BackgroundWorkerHandle *
start_worker(dsm_segment *dsm)
{
	BackgroundWorkerHandle *handle;
	bool told = false;

	if (max_worker_processes < 2)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED), errmsg("a run needs at least two background workers"),
				 errdetail("max_worker_processes is %d: one schedules, one works.", max_worker_processes),
				 errhint("Raise max_worker_processes and restart the server, or use mode => 'inline'.")));
	while (!etl_bgw_start_scheduler(dsm_segment_handle(dsm), &handle))
	{
		if (!told)
			ereport(NOTICE, (errmsg("all background workers are busy, waiting for a free one"),
							 errhint("max_worker_processes is %d.", max_worker_processes)));
		if (!told)
			ereport(LOG, (errmsg("etl_ext: no free background worker, a run waits for one")));
		told = true;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 200, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return handle;
}

/* wait_for_reply waits until the worker has answered. Errors: ZE008 if it ended without an answer. */
static void
wait_for_reply(Segment *segment, BackgroundWorkerHandle *handle)
{
	while (pg_atomic_read_u32(&segment->status) == REPLY_NONE)
	{
		pid_t pid;

		if (GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED && pg_atomic_read_u32(&segment->status) == REPLY_NONE)
			ereport(ERROR, (errcode(ERRCODE_ETL_WORKER_LOST),
							errmsg("the worker that should have created the run ended without an answer"),
							errhint("The server log says why.")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	pg_read_barrier();
}

/*
 * etl_request_submit has a request served by a worker and returns the number of the run (0: there is none) and its state.
 * Errors of the worker are raised here.
 */
int64
etl_request_submit(const EtlRequest *request, EtlRunState *state)
{
	dsm_segment *dsm = make_segment(request);
	Segment *segment = dsm_segment_address(dsm);
	int64 run_id;

	wait_for_reply(segment, start_worker(dsm));
	if (pg_atomic_read_u32(&segment->status) == REPLY_ERROR)
		ereport(ERROR, (errcode(segment->sqlerrcode), errmsg("%s", pstrdup(segment->message)),
						segment->detail[0] ? errdetail("%s", pstrdup(segment->detail)) : 0,
						segment->hint[0] ? errhint("%s", pstrdup(segment->hint)) : 0));
	run_id = segment->run_id;
	*state = segment->state;
	dsm_detach(dsm);
	return run_id;
}

/* reply_error puts the error that is being handled into the reply. */
static void
reply_error(Segment *segment, MemoryContext context)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	segment->sqlerrcode = error->sqlerrcode;
	strlcpy(segment->message, error->message ? error->message : "", REPLY_TEXT);
	strlcpy(segment->detail, error->detail ? error->detail : "", REPLY_TEXT);
	strlcpy(segment->hint, error->hint ? error->hint : "", REPLY_TEXT);
	FreeErrorData(error);
}

/* wake_caller sets the latch of the session that waits for the reply. */
static void
wake_caller(int pid)
{
	PGPROC *proc = BackendPidGetProc(pid);

	if (proc != NULL)
		SetLatch(&proc->procLatch);
}

/*
 * etl_request_serve does what a request asks for and answers; 0: there is none. Runs in a worker, outside of a
 * transaction.
 */
void
etl_request_serve(uint32 handle)
{
	MemoryContext context = CurrentMemoryContext;
	volatile ReplyStatus status = REPLY_RUN;
	dsm_segment *dsm;
	Segment *segment;
	int pid;

	dsm = handle != 0 ? dsm_attach(handle) : NULL;
	if (dsm == NULL)
		return; /* nobody asks, or the caller has given up */
	dsm_pin_mapping(dsm);
	segment = dsm_segment_address(dsm);
	pid = segment->pid;
	PG_TRY();
	{
		Jsonb *request;

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		request = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(segment->request)));
		segment->run_id = etl_serve(request, segment->caller, &segment->state);
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		reply_error(segment, context);
		status = REPLY_ERROR;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	pg_write_barrier();
	pg_atomic_write_u32(&segment->status, status);
	dsm_detach(dsm);
	wake_caller(pid);
}
