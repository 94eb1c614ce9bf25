/*
 * transfer.c
 *		Transfers over HTTP and SMTP by libcurl. See transfer.h; pump.c moves them.
 */
#include "postgres.h"

#include "net/pump.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

struct EtlTransferSet
{
	EtlPump pump;
};

/* etl_transfer_open makes an empty set. */
EtlTransferSet *
etl_transfer_open(void)
{
	return (EtlTransferSet *) etl_pump_open();
}

/* etl_transfer_close breaks off what still runs and closes all connections. */
void
etl_transfer_close(EtlTransferSet *set)
{
	etl_pump_close(&set->pump);
}

/* etl_transfer_count returns how many transfers have begun whose result was not taken yet. */
int
etl_transfer_count(const EtlTransferSet *set)
{
	return set->pump.n;
}

/* etl_transfer_add begins a transfer. */
void
etl_transfer_add(EtlTransferSet *set, const EtlTransferRequest *request, void *tag)
{
	(void) etl_pump_add(&set->pump, request, false, tag);
}

/* etl_transfer_drop breaks off a transfer. */
void
etl_transfer_drop(EtlTransferSet *set, const void *tag)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &set->pump.transfers)
	{
		EtlHandle *handle = dlist_container(EtlHandle, node, it.cur);

		if (handle->tag == tag)
			etl_pump_remove(&set->pump, handle);
	}
}

/* take_ended returns the result of a transfer that has ended; false if there is none. */
static bool
take_ended(EtlTransferSet *set, EtlTransferResult *result)
{
	CURLcode code;
	EtlHandle *handle = etl_pump_ended(&set->pump, &code);

	if (handle == NULL)
		return false;
	etl_pump_describe(handle, code, result);
	result->length = handle->answer_length;
	result->answer = MemoryContextAllocHuge(CurrentMemoryContext, handle->answer_length + 1);
	if (handle->answer_length > 0)
		memcpy(result->answer, handle->answer, handle->answer_length);
	result->answer[handle->answer_length] = '\0';
	etl_pump_remove(&set->pump, handle);
	return true;
}

/* etl_transfer_next waits for a transfer to end. */
bool
etl_transfer_next(EtlTransferSet *set, int timeout, EtlTransferResult *result)
{
	instr_time begin;

	INSTR_TIME_SET_CURRENT(begin);
	while (set->pump.n > 0)
	{
		instr_time passed;
		int left;

		etl_pump_move(&set->pump);
		if (take_ended(set, result))
			return true;
		INSTR_TIME_SET_CURRENT(passed);
		INSTR_TIME_SUBTRACT(passed, begin);
		left = timeout - (int) INSTR_TIME_GET_MILLISEC(passed);
		if (left <= 0)
			break;
		etl_pump_wait(&set->pump, left);
	}
	return false;
}

/* etl_transfer_header returns the value of a header of the answer, or NULL; the first one where there are several. */
char *
etl_transfer_header(const EtlTransferResult *result, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = result->headers; line != NULL && *line != '\0';)
	{
		size_t end = strcspn(line, "\r\n");

		if (end > length && line[length] == ':' && pg_strncasecmp(line, name, length) == 0)
		{
			const char *value = line + length + 1;

			value += strspn(value, " \t");
			end = strcspn(value, "\r\n");
			while (end > 0 && (value[end - 1] == ' ' || value[end - 1] == '\t'))
				end--;
			return pnstrdup(value, end);
		}
		line += end;
		line += strspn(line, "\r\n");
	}
	return NULL;
}

/* etl_transfer_perform does one transfer from beginning to end. */
void
etl_transfer_perform(const EtlTransferRequest *request, EtlTransferResult *result)
{
	EtlTransferSet *set = etl_transfer_open();

	PG_TRY();
	{
		etl_transfer_add(set, request, NULL);
		while (!etl_transfer_next(set, ETL_PUMP_TIME, result))
			;
	}
	PG_FINALLY();
	{
		etl_transfer_close(set);
	}
	PG_END_TRY();
}
