/*
 * apply.h
 *		Brings a filled delta into its target.
 */
#ifndef ETL_APPLY_H
#define ETL_APPLY_H

#include "load/delta.h"
#include "load/images.h"

/*
 * Executes what the mode asks for, counts into the attempt and notes the statements in attempt->sql. Fills delta->images.
 * Errors: 40001 when somebody else changes the same rows meanwhile.
 */
extern void etl_apply_run(EtlDelta *delta);

/* Whether the target is joined by its key, in key order: an index guards the key, and rows lie in its order. */
extern bool etl_apply_goes_by_key(const EtlPlan *plan);

#endif /* ETL_APPLY_H */
