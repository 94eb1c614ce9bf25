/*
 * cron_remote.c
 *		Jobs of pg_cron when it lives in another database than the pipelines. See cron_remote.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"
#include "schedule/cron_remote.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#define ANSWER_TEXT 1024
#define JOB_STRINGS 5

typedef enum AnswerState
{
	ANSWER_NONE,
	ANSWER_DONE,
	ANSWER_ERROR
} AnswerState;

/* The segment that caller and worker share: the jobs, and what became of them. */
typedef struct CronMail
{
	AnswerState answer;
	int sqlstate;
	char message[ANSWER_TEXT];
	char detail[ANSWER_TEXT];
	char hint[ANSWER_TEXT];
	int n_jobs;
	Size length;					  /* of jobs */
	char jobs[FLEXIBLE_ARRAY_MEMBER]; /* JOB_STRINGS strings for each; an empty schedule removes */
} CronMail;

typedef struct Request
{
	SubTransactionId subid; /* subtransaction that must survive for the request to count */
	EtlCronJob job;
} Request;

/* Requests of this transaction, in TopTransactionContext, and the database of pg_cron. */
static List *requests = NIL;
static const char *requests_database = NULL;
static bool callbacks_registered = false;

/* pack_jobs writes the strings of all requests one behind the other. */
static void
pack_jobs(StringInfo data)
{
	ListCell *cell;

	foreach (cell, requests)
	{
		const EtlCronJob *job = &((Request *) lfirst(cell))->job;
		const char *string[JOB_STRINGS] = {job->name, job->database, job->schedule, job->command, job->username};

		for (int i = 0; i < JOB_STRINGS; i++)
		{
			const char *text = string[i] ? string[i] : "";

			appendBinaryStringInfo(data, text, strlen(text) + 1);
		}
	}
}

/* unpack_job reads the strings of one job and moves the position behind them. */
static EtlCronJob
unpack_job(const char **at)
{
	const char *string[JOB_STRINGS];

	for (int i = 0; i < JOB_STRINGS; i++)
	{
		string[i] = *at;
		*at += strlen(*at) + 1;
	}
	return (EtlCronJob){string[0], string[1], string[2][0] ? string[2] : NULL, string[3], string[4]};
}

/* start_worker starts the worker in the database of pg_cron. */
static BackgroundWorkerHandle *
start_worker(dsm_segment *segment)
{
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle;

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "etl_ext", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "etl_cron_worker_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "etl cron bridge", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "etl cron bridge", sizeof(worker.bgw_type));
	strlcpy(worker.bgw_extra, requests_database, sizeof(worker.bgw_extra));
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment));
	worker.bgw_notify_pid = MyProcPid;
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("no background worker is free to write the pipeline's schedule"),
						errdetail("pg_cron keeps its jobs in database \"%s\", where a worker must write them.",
								  requests_database),
						errhint("Try again, or increase max_worker_processes.")));
	return handle;
}

/* raise_answer raises the worker's error, or says that it left without a word. */
static void
raise_answer(const CronMail *mail)
{
	if (mail->answer == ANSWER_DONE)
		return;
	if (mail->answer == ANSWER_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not write the pipeline's schedule to database \"%s\"", requests_database),
				 errdetail("pg_cron keeps its jobs there, and the background worker ended before it could answer."),
				 errhint("The server log has the reason: a connection limit, or a database that takes no "
						 "connections.")));
	ereport(ERROR, (errcode(mail->sqlstate), errmsg_internal("%s", mail->message),
					mail->detail[0] ? errdetail_internal("%s", mail->detail) : 0,
					mail->hint[0] ? errhint("%s", mail->hint) : 0,
					errcontext("writing the pg_cron job of a pipeline in database \"%s\"", requests_database)));
}

/* send_requests lets a worker carry out the requests and waits for it. A cancelled caller takes the worker along. */
static void
send_requests(void)
{
	StringInfoData data;
	dsm_segment *segment;
	CronMail *mail;
	BackgroundWorkerHandle *handle;

	initStringInfo(&data);
	pack_jobs(&data);
	segment = dsm_create(offsetof(CronMail, jobs) + data.len, 0);
	mail = dsm_segment_address(segment);
	memset(mail, 0, offsetof(CronMail, jobs));
	mail->n_jobs = list_length(requests);
	mail->length = data.len;
	memcpy(mail->jobs, data.data, data.len);

	handle = start_worker(segment);
	PG_TRY();
	{
		if (WaitForBackgroundWorkerShutdown(handle) == BGWH_POSTMASTER_DIED)
			ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("postmaster exited while a schedule was written")));
	}
	PG_CATCH();
	{
		TerminateBackgroundWorker(handle);
		PG_RE_THROW();
	}
	PG_END_TRY();
	raise_answer(mail);
	dsm_detach(segment);
}

/* xact_callback sends the requests just before the commit and forgets them at the end. */
static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT && requests != NIL)
		send_requests();
	if (event == XACT_EVENT_PRE_PREPARE && requests != NIL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot prepare a transaction that has changed the schedule of a pipeline"),
						errdetail("pg_cron lives in another database, where its job is written at commit."),
						errhint("Use COMMIT.")));
	if (event != XACT_EVENT_PRE_PREPARE)
		requests = NIL;
}

/* subxact_callback drops the requests of a subtransaction that was rolled back; a committed one hands them up. */
static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	ListCell *cell;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	foreach (cell, requests)
	{
		Request *request = lfirst(cell);

		if (request->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			requests = foreach_delete_current(requests, cell);
		else
			request->subid = parent;
	}
}

/* etl_cron_remote_request keeps a request until the transaction commits. */
void
etl_cron_remote_request(const char *database, const EtlCronJob *job)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	Request *request = palloc0(sizeof(Request));

	if (!callbacks_registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		callbacks_registered = true;
	}
	request->subid = GetCurrentSubTransactionId();
	request->job.name = pstrdup(job->name);
	request->job.database = pstrdup(job->database);
	if (job->schedule)
	{
		request->job.schedule = pstrdup(job->schedule);
		request->job.command = pstrdup(job->command);
		request->job.username = pstrdup(job->username);
	}
	requests = lappend(requests, request);
	requests_database = pstrdup(database);
	MemoryContextSwitchTo(caller);
}

/* apply_jobs carries out all jobs of the segment in one transaction. */
static void
apply_jobs(const CronMail *mail)
{
	const char *at = mail->jobs;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SET, true, 0,
							 false);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (int i = 0; i < mail->n_jobs; i++)
	{
		EtlCronJob job = unpack_job(&at);

		CHECK_FOR_INTERRUPTS();
		etl_cron_job_apply(&job);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* answer_error puts an error into the segment, for the caller to raise. */
static void
answer_error(CronMail *mail, const ErrorData *error)
{
	mail->sqlstate = error->sqlerrcode;
	strlcpy(mail->message, error->message ? error->message : "unknown error", ANSWER_TEXT);
	strlcpy(mail->detail, error->detail ? error->detail : "", ANSWER_TEXT);
	strlcpy(mail->hint, error->hint ? error->hint : "", ANSWER_TEXT);
	mail->answer = ANSWER_ERROR;
}

/*
 * etl_cron_worker_main connects to the database of pg_cron with the rights of the system: the jobs were checked by the
 * function that asked for them, and only the fixed statements of cron_job.c are executed.
 */
void
etl_cron_worker_main(Datum main_arg)
{
	dsm_segment *segment;
	CronMail *mail;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(MyBgworkerEntry->bgw_extra, NULL, 0);

	StartTransactionCommand();
	segment = dsm_attach(DatumGetUInt32(main_arg));
	if (segment == NULL)
	{
		/* The caller has given up meanwhile. */
		CommitTransactionCommand();
		return;
	}
	dsm_pin_mapping(segment);
	mail = dsm_segment_address(segment);
	PG_TRY();
	{
		apply_jobs(mail);
		mail->answer = ANSWER_DONE;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(TopMemoryContext);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		answer_error(mail, error);
	}
	PG_END_TRY();
}
