/*
 * pump.c
 *		libcurl at work. See pump.h.
 *
 * All signals are blocked while libcurl may start a thread; that part never waits.
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>

#include "miscadmin.h"
#include "net/pump.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

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
	for (const char *c = request->method; c != NULL && *c != '\0'; c++)
		if (*c < 'A' || *c > 'Z')
			elog(ERROR, "the method of a transfer is no word in upper case");
}

/* out_of_memory raises an error after libcurl or malloc had no memory. */
static void
out_of_memory(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"), errdetail("A transfer needed more.")));
}

/* etl_pump_open begins without transfers. libcurl is initialised by the first one of a process. */
EtlPump *
etl_pump_open(void)
{
	static bool initialised = false;
	EtlPump *pump = MemoryContextAllocZero(TopMemoryContext, sizeof(EtlPump));

	Assert(MyProcPid != PostmasterPid);
	dlist_init(&pump->transfers);
	if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		initialised = true;
	pump->multi = initialised ? curl_multi_init() : NULL;
	if (pump->multi == NULL)
	{
		pfree(pump);
		out_of_memory();
	}
	return pump;
}

/* etl_pump_close breaks off what still runs and closes all connections. */
void
etl_pump_close(EtlPump *pump)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &pump->transfers)
	{
		etl_pump_remove(pump, dlist_container(EtlHandle, node, it.cur));
	}
	(void) curl_multi_cleanup(pump->multi);
	pfree(pump);
}

/* etl_pump_remove takes a transfer out and gives back all that it holds. */
void
etl_pump_remove(EtlPump *pump, EtlHandle *handle)
{
	dlist_delete(&handle->node);
	pump->n--;
	ReleaseExternalFD();
	(void) curl_multi_remove_handle(pump->multi, handle->easy);
	etl_handle_free(handle);
}

/* etl_pump_add begins a transfer. Its socket counts as one of the files that PostgreSQL may have open. */
EtlHandle *
etl_pump_add(EtlPump *pump, const EtlTransferRequest *request, bool is_streamed, void *tag)
{
	EtlHandle *handle;
	CURLMcode code;
	sigset_t old;

	check_request(request);
	handle = etl_handle_new(request, etl_address_list(), is_streamed, tag);
	if (handle == NULL)
		out_of_memory();
	if (handle->by_proxy &&
		!etl_address_is_host_allowed(handle->allowed, handle->host ? handle->host : "", handle->port))
	{
		char *host = pstrdup(handle->host ? handle->host : "");

		etl_handle_free(handle);
		etl_address_refuse(host, NULL);
	}
	if (!AcquireExternalFD())
	{
		etl_handle_free(handle);
		errno = EMFILE;
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("could not begin a transfer: %m"),
						errdetail("Too many files and connections are open in this process.")));
	}
	dlist_push_tail(&pump->transfers, &handle->node);
	pump->n++;
	block_signals(&old);
	code = curl_multi_add_handle(pump->multi, handle->easy);
	restore_signals(&old);
	if (code != CURLM_OK)
	{
		etl_pump_remove(pump, handle);
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR), errmsg("could not begin a transfer: %s", curl_multi_strerror(code))));
	}
	return handle;
}

/* check_multi raises an error when libcurl cannot go on. */
static void
check_multi(CURLMcode code)
{
	if (code != CURLM_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR), errmsg("transfers cannot go on: %s", curl_multi_strerror(code))));
}

/* etl_pump_move lets libcurl do what it can now. */
void
etl_pump_move(EtlPump *pump)
{
	int running;
	CURLMcode code;
	sigset_t old;

	CHECK_FOR_INTERRUPTS();
	if (!PostmasterIsAlive())
		proc_exit(1);
	block_signals(&old);
	code = curl_multi_perform(pump->multi, &running);
	restore_signals(&old);
	check_multi(code);
}

/* etl_pump_wait waits for the network. */
void
etl_pump_wait(EtlPump *pump, int timeout)
{
	CURLMcode code;

	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	code = curl_multi_poll(pump->multi, NULL, 0, Min(timeout, ETL_PUMP_TIME), NULL);
	pgstat_report_wait_end();
	check_multi(code);
}

/* etl_pump_ended returns a transfer that has ended. */
EtlHandle *
etl_pump_ended(EtlPump *pump, CURLcode *code)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(pump->multi, &left)) != NULL)
	{
		char *private = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		*code = message->data.result;
		(void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		return (EtlHandle *) private;
	}
	return NULL;
}

/* etl_pump_resume lets a transfer that waits for room go on; libcurl calls back with what it has kept. */
void
etl_pump_resume(EtlHandle *handle)
{
	CURLcode code;
	sigset_t old;

	handle->is_paused = false;
	block_signals(&old);
	code = curl_easy_pause(handle->easy, CURLPAUSE_CONT);
	restore_signals(&old);
	if (code != CURLE_OK)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("a transfer from \"%s\" cannot go on: %s", handle->host, curl_easy_strerror(code))));
}

/* error_of says in words why a transfer is not ok. */
static char *
error_of(const EtlHandle *handle, CURLcode code)
{
	if (handle->out_of_memory)
		return pstrdup("out of memory");
	if (handle->refused[0] != '\0')
		return psprintf("address %s is not allowed by etl.allowed_hosts", handle->refused);
	if (handle->headers_full)
		return psprintf("the headers of the answer are longer than %d bytes", ETL_HANDLE_HEADERS);
	if (handle->answer_full)
		return psprintf("the answer is longer than %zu bytes", handle->answer_limit);
	if (code == CURLE_OK)
		return pstrdup("the connection ended within the headers of the answer");
	return pstrdup(handle->error[0] != '\0' ? handle->error : curl_easy_strerror(code));
}

/* etl_pump_describe fills in a result but its body. */
void
etl_pump_describe(const EtlHandle *handle, CURLcode code, EtlTransferResult *result)
{
	long status = 0;

	(void) curl_easy_getinfo(handle->easy, CURLINFO_RESPONSE_CODE, &status);
	memset(result, 0, sizeof(*result));
	result->tag = handle->tag;
	result->status = (int) status;
	result->ok = code == CURLE_OK || (code == CURLE_WRITE_ERROR && handle->answer_full && handle->cut_answer);
	/* libcurl takes a connection that ends within the headers for an answer. */
	if (handle->is_http && !handle->headers_ended)
		result->ok = false;
	if (handle->keep_headers && handle->headers != NULL)
		result->headers = pnstrdup(handle->headers, handle->headers_length);
	if (handle->is_http)
		result->framed = etl_answer_is_framed(handle);
	if (result->ok)
		return;
	result->denied = handle->refused[0] != '\0';
	result->passing = etl_handle_is_passing(handle, code);
	result->error = error_of(handle, code);
}
