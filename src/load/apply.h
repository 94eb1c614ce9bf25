/*
 * apply.h
 *		Brings a filled delta into its target.
 */
#ifndef ETL_APPLY_H
#define ETL_APPLY_H

#include "load/delta.h"

/* Executes what the mode asks for, counts into the attempt and notes the statement in attempt->sql. */
extern void etl_apply_run(EtlDelta *delta);

#endif /* ETL_APPLY_H */
