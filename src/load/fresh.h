/*
 * fresh.h
 *		The short way for rows that are all new: keys above those of the target, as they are where keys count up, and the
 *		first load. Then nothing has to be joined, and the rows go from the query into the target in the order of their key.
 */
#ifndef ETL_FRESH_H
#define ETL_FRESH_H

#include "load/increment.h"

/* Whether the short way may be tried: the key is one of a single raw input, and nobody asks for what changes. */
extern bool etl_fresh_may(const EtlDelta *delta, const EtlIncrement *increment);

/* Goes it. False: keys of the target are in the way, or a row was refused; nothing was written. */
extern bool etl_fresh_run(EtlDelta *delta, const EtlIncrement *increment);

#endif /* ETL_FRESH_H */
