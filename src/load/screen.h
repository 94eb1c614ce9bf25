/*
 * screen.h
 *		Rows of a load that a check with action => 'quarantine' finds at fault: they do not reach the target.
 */
#ifndef ETL_LOAD_SCREEN_H
#define ETL_LOAD_SCREEN_H

#include "load/delta.h"

/*
 * Moves the rows of a filled delta that are at fault to etl.quarantine, with the check as reason (SQLSTATE ZE003), and notes
 * what the checks found. A row that several checks find at fault goes there by the first.
 */
extern void etl_screen_run(EtlDelta *delta);

#endif /* ETL_LOAD_SCREEN_H */
