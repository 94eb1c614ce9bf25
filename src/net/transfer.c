/*
 * transfer.c
 *		Transfers over HTTP and SMTP by libcurl. See transfer.h.
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>

#include "miscadmin.h"
#include "net/handle.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

/* Longest wait in libcurl, in ms. */
#define POLL_TIME 200

struct EtlTransferSet
{
	CURLM *multi;
	dlist_head transfers;
	int n;
};

/* block_signals keeps signals away from threads that libcurl starts until restore_signals. */
static void
block_signals(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	(void) pthread_sigmask(SIG_SETMASK, &all, old);
}

static void
restore_signals(const sigset_t *old)
{
	(void) pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* check_printable refuses a string that could put a line of its own into what is sent. Never shows it: it may be secret. */
static void
check_printable(const char *what, const char *text)
{
	for (const char *c = text; c != NULL && *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == '\x7f')
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s contains a control character", what),
							errdetail("It is character %d.", (int) (c - text) + 1),
							errhint("Leave out ends of lines and tabs.")));
}

/* check_request refuses what must not be sent. Errors: 22023. */
static void
check_request(const EtlTransferRequest *request)
{
	check_printable("the address of a transfer", request->url);
	check_printable("the user of a transfer", request->user);
	check_printable("the password of a transfer", request->password);
	check_printable("the sender of a mail", request->mail_from);
	for (int i = 0; i < request->header.n; i++)
		check_printable("a header of a transfer", request->header.name[i]);
	for (int i = 0; i < request->mail_to.n; i++)
		check_printable("a recipient of a mail", request->mail_to.name[i]);
}

/* remove_transfer takes a transfer out of its set and gives back all that it holds. */
static void
remove_transfer(EtlTransferSet *set, EtlHandle *handle)
{
	dlist_delete(&handle->node);
	set->n--;
	(void) curl_multi_remove_handle(set->multi, handle->easy);
	etl_handle_free(handle);
}

/* out_of_memory raises an error after libcurl or malloc had no memory. */
static void
out_of_memory(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"), errdetail("A transfer needed more.")));
}

/* etl_transfer_open makes an empty set. libcurl is initialised by the first one of a process. */
EtlTransferSet *
etl_transfer_open(void)
{
	static bool initialised = false;
	EtlTransferSet *set = MemoryContextAllocZero(TopMemoryContext, sizeof(EtlTransferSet));

	Assert(MyProcPid != PostmasterPid);
	dlist_init(&set->transfers);
	if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		initialised = true;
	set->multi = initialised ? curl_multi_init() : NULL;
	if (set->multi == NULL)
	{
		pfree(set);
		out_of_memory();
	}
	return set;
}

/* etl_transfer_close breaks off what still runs and closes all connections. */
void
etl_transfer_close(EtlTransferSet *set)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &set->transfers)
	{
		remove_transfer(set, dlist_container(EtlHandle, node, it.cur));
	}
	(void) curl_multi_cleanup(set->multi);
	pfree(set);
}

/* etl_transfer_count returns how many transfers have begun whose result was not taken yet. */
int
etl_transfer_count(const EtlTransferSet *set)
{
	return set->n;
}

/* etl_transfer_add begins a transfer. */
void
etl_transfer_add(EtlTransferSet *set, const EtlTransferRequest *request, void *tag)
{
	EtlHandle *handle;
	CURLMcode code;
	sigset_t old;

	check_request(request);
	handle = etl_handle_new(request, tag);
	if (handle == NULL)
		out_of_memory();
	dlist_push_tail(&set->transfers, &handle->node);
	set->n++;
	block_signals(&old);
	code = curl_multi_add_handle(set->multi, handle->easy);
	restore_signals(&old);
	if (code != CURLM_OK)
	{
		remove_transfer(set, handle);
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR), errmsg("could not begin a transfer: %s", curl_multi_strerror(code))));
	}
}

/* describe fills in the result of a transfer that has ended; copies everything into the current context. */
static void
describe(const EtlHandle *handle, CURLcode code, EtlTransferResult *result)
{
	long status = 0;

	(void) curl_easy_getinfo(handle->easy, CURLINFO_RESPONSE_CODE, &status);
	memset(result, 0, sizeof(*result));
	result->tag = handle->tag;
	result->status = (int) status;
	result->ok = code == CURLE_OK || (code == CURLE_WRITE_ERROR && handle->answer_full && handle->cut_answer);
	result->length = handle->answer_length;
	result->answer = MemoryContextAllocHuge(CurrentMemoryContext, handle->answer_length + 1);
	if (handle->answer_length > 0)
		memcpy(result->answer, handle->answer, handle->answer_length);
	result->answer[handle->answer_length] = '\0';
	if (result->ok)
		return;
	result->passing = etl_handle_is_passing(handle, code);
	if (handle->out_of_memory)
		result->error = pstrdup("out of memory");
	else if (handle->answer_full)
		result->error = psprintf("the answer is longer than %zu bytes", handle->answer_limit);
	else
		result->error = pstrdup(handle->error[0] != '\0' ? handle->error : curl_easy_strerror(code));
}

/* take_ended returns the result of a transfer that has ended; false if there is none. */
static bool
take_ended(EtlTransferSet *set, EtlTransferResult *result)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(set->multi, &left)) != NULL)
	{
		CURLcode code = message->data.result;
		char *private = NULL;
		EtlHandle *handle;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		handle = (EtlHandle *) private;
		describe(handle, code, result);
		remove_transfer(set, handle);
		return true;
	}
	return false;
}

/* check_multi raises an error when libcurl cannot go on with a set. */
static void
check_multi(CURLMcode code)
{
	if (code != CURLM_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR), errmsg("transfers cannot go on: %s", curl_multi_strerror(code))));
}

/* etl_transfer_next waits for a transfer to end. */
bool
etl_transfer_next(EtlTransferSet *set, int timeout, EtlTransferResult *result)
{
	instr_time begin;

	INSTR_TIME_SET_CURRENT(begin);
	while (set->n > 0)
	{
		instr_time passed;
		int running;
		int left;
		CURLMcode code;
		sigset_t old;

		CHECK_FOR_INTERRUPTS();
		if (!PostmasterIsAlive())
			proc_exit(1);
		block_signals(&old);
		code = curl_multi_perform(set->multi, &running);
		restore_signals(&old);
		check_multi(code);
		if (take_ended(set, result))
			return true;
		INSTR_TIME_SET_CURRENT(passed);
		INSTR_TIME_SUBTRACT(passed, begin);
		left = timeout - (int) INSTR_TIME_GET_MILLISEC(passed);
		if (left <= 0)
			break;
		pgstat_report_wait_start(PG_WAIT_EXTENSION);
		code = curl_multi_poll(set->multi, NULL, 0, Min(left, POLL_TIME), NULL);
		pgstat_report_wait_end();
		check_multi(code);
	}
	return false;
}

/* etl_transfer_perform does one transfer from beginning to end. */
void
etl_transfer_perform(const EtlTransferRequest *request, EtlTransferResult *result)
{
	EtlTransferSet *set = etl_transfer_open();

	PG_TRY();
	{
		etl_transfer_add(set, request, NULL);
		while (!etl_transfer_next(set, POLL_TIME, result))
			;
	}
	PG_FINALLY();
	{
		etl_transfer_close(set);
	}
	PG_END_TRY();
}
