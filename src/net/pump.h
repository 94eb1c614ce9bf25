/*
 * pump.h
 *		libcurl at work: transfers that go on at the same time, moved by one thread that can be interrupted. What
 *		transfer.h says about signals, errors and interrupts is done here. Used by transfer.c and stream.c only.
 */
#ifndef ETL_PUMP_H
#define ETL_PUMP_H

#include "net/handle.h"

/* Longest wait in libcurl, in ms. */
#define ETL_PUMP_TIME 200

typedef struct EtlPump
{
	CURLM *multi;
	dlist_head transfers;
	int n;
} EtlPump;

/* Lives until it is closed, which breaks off what still runs. */
extern EtlPump *etl_pump_open(void);
extern void etl_pump_close(EtlPump *pump);

/* Begins a transfer. Errors: 22023, 42501, 53000, 53200, 58000. */
extern EtlHandle *etl_pump_add(EtlPump *pump, const EtlTransferRequest *request, bool is_streamed, void *tag);
extern void etl_pump_remove(EtlPump *pump, EtlHandle *handle);

/* Lets libcurl do what it can now; then waits for the network, at most ETL_PUMP_TIME. Can be interrupted. */
extern void etl_pump_move(EtlPump *pump);
extern void etl_pump_wait(EtlPump *pump, int timeout);

/* A transfer that has ended, and how; NULL: none has. */
extern EtlHandle *etl_pump_ended(EtlPump *pump, CURLcode *code);

/* Lets a transfer that waits for room go on. */
extern void etl_pump_resume(EtlHandle *handle);

/* Fills in a result but its body, in the current memory context. code: of a transfer that has ended, or CURLE_OK. */
extern void etl_pump_describe(const EtlHandle *handle, CURLcode code, EtlTransferResult *result);

#endif /* ETL_PUMP_H */
