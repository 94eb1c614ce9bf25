/*
 * fresh.h
 *		The short way for rows that are all new: keys above those of the target, as they are where keys count up, and the
 *		first load. Then nothing has to be joined, and the rows go from the query into the target in the order of their key.
 */
#ifndef ETL_FRESH_H
#define ETL_FRESH_H

#include "load/increment.h"

/* Whether the short way may be open to a load: its key is a column of a single raw input. */
extern bool etl_fresh_fits(const EtlPlan *plan);

/* Whether it may be tried in this run: nobody asks for what changes, and no row is late or deleted. */
extern bool etl_fresh_may(const EtlDelta *delta, const EtlIncrement *increment);

/* Goes it. False: keys of the target are in the way, or a row was refused; nothing was written. */
extern bool etl_fresh_run(EtlDelta *delta, const EtlIncrement *increment);

#endif /* ETL_FRESH_H */
