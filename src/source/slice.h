/*
 * slice.h
 *		Reading ranges of the key with several workers: what slice.c does in a worker that helps.
 */
#ifndef ETL_SLICE_H
#define ETL_SLICE_H

#include "worker/attempt.h"
#include "worker/helper.h"

typedef struct EtlSliceShare EtlSliceShare;

/* Reads ranges that nobody has taken yet until there are none; with a step open before and after. */
extern void etl_slice_help(EtlAttempt *attempt, EtlSliceShare *share);

#endif /* ETL_SLICE_H */
