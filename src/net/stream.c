/*
 * stream.c
 *		One HTTP transfer whose body is read while it arrives. See stream.h.
 *
 * The window over the body (answer.c) is ETL_HANDLE_BUFFER bytes; libcurl waits when it is full, and TCP with it.
 */
#include "postgres.h"

#include "net/pump.h"
#include "net/stream.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

struct EtlStream
{
	EtlPump *pump;
	EtlHandle *handle;
	int stall;
	bool ended;
	CURLcode code; /* once it has ended */
};

/* passed_since returns ms since a time. */
static int
passed_since(const instr_time *begin)
{
	instr_time passed;

	INSTR_TIME_SET_CURRENT(passed);
	INSTR_TIME_SUBTRACT(passed, *begin);
	return (int) INSTR_TIME_GET_MILLISEC(passed);
}

/* move lets the transfer go on, and notes its end. */
static void
move(EtlStream *stream)
{
	if (stream->ended)
		return;
	etl_pump_move(stream->pump);
	if (etl_pump_ended(stream->pump, &stream->code) != NULL)
		stream->ended = true;
}

/* wait_for_headers waits for the headers, or the end. False: they took too long. */
static bool
wait_for_headers(EtlStream *stream, int timeout)
{
	instr_time begin;

	INSTR_TIME_SET_CURRENT(begin);
	for (;;)
	{
		int left;

		move(stream);
		if (stream->ended || stream->handle->headers_ended)
			return true;
		left = timeout - passed_since(&begin);
		if (left <= 0)
			return false;
		etl_pump_wait(stream->pump, left);
	}
}

/* etl_stream_open sends the request and waits for status and headers. */
EtlStream *
etl_stream_open(const EtlTransferRequest *request, EtlTransferResult *result)
{
	EtlStream *stream = MemoryContextAllocZero(TopMemoryContext, sizeof(EtlStream));

	PG_TRY();
	{
		bool in_time;

		stream->stall = request->stall > 0 ? request->stall : request->timeout;
		stream->pump = etl_pump_open();
		stream->handle = etl_pump_add(stream->pump, request, true, NULL);
		in_time = wait_for_headers(stream, request->timeout);
		etl_pump_describe(stream->handle, stream->ended ? stream->code : CURLE_OK, result);
		/* What ends early after its headers is an error of etl_stream_read. */
		if (stream->handle->headers_ended)
			result->ok = true;
		if (!in_time)
			result->error = psprintf("no answer within %d ms", request->timeout);
		if (!in_time)
			result->passing = true;
	}
	PG_CATCH();
	{
		etl_stream_close(stream);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return stream;
}

/* take copies what has arrived and was not read yet. */
static size_t
take(EtlHandle *handle, char *buffer, size_t size)
{
	size_t n = Min(size, handle->answer_length - handle->answer_start);

	memcpy(buffer, handle->answer + handle->answer_start, n);
	handle->answer_start += n;
	if (handle->answer_start == handle->answer_length)
		handle->answer_start = handle->answer_length = 0;
	return n;
}

/* check_end refuses a transfer that ended before its body was complete. */
static void
check_end(EtlStream *stream)
{
	EtlTransferResult result;

	etl_pump_describe(stream->handle, stream->code, &result);
	if (!result.ok)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("a transfer from \"%s\" ended early: %s", stream->handle->host, result.error),
						errdetail("What has arrived is not complete.")));
}

/* etl_stream_read waits for bytes of the body. */
size_t
etl_stream_read(EtlStream *stream, char *buffer, size_t size)
{
	EtlHandle *handle = stream->handle;
	instr_time begin;

	INSTR_TIME_SET_CURRENT(begin);
	for (;;)
	{
		size_t n = take(handle, buffer, size);
		int left;

		if (n > 0)
			return n;
		if (handle->is_paused)
		{
			etl_pump_resume(handle);
			continue;
		}
		if (stream->ended)
		{
			check_end(stream);
			return 0;
		}
		move(stream);
		if (stream->ended || handle->answer_length > handle->answer_start)
			continue;
		left = stream->stall - passed_since(&begin);
		if (left <= 0)
			ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE), errmsg("a transfer from \"%s\" stalled", handle->host),
							errdetail("Nothing has arrived for %d ms.", stream->stall)));
		etl_pump_wait(stream->pump, left);
	}
}

/* etl_stream_close breaks off what still runs. */
void
etl_stream_close(EtlStream *stream)
{
	if (stream == NULL)
		return;
	if (stream->pump != NULL)
		etl_pump_close(stream->pump);
	pfree(stream);
}
