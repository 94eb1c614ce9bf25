/*
 * bisect.h
 *		Does work on a range of rows although some of them cannot be taken.
 */
#ifndef ETL_BISECT_H
#define ETL_BISECT_H

#include "utils/elog.h"

typedef struct EtlBisect
{
	void (*work)(void *arg, int64 low, int64 high);				  /* may fail because of a row */
	void (*accept)(void *arg);									  /* the last work stands; or NULL */
	void (*reject)(void *arg, int64 row, const ErrorData *error); /* this row alone cannot be taken */
	void *arg;
} EtlBisect;

/* Does the work on rows low .. high, in as few pieces as the rows that fail allow. */
extern void etl_bisect_run(const EtlBisect *bisect, int64 low, int64 high);

/* Does work in a subtransaction. NULL: done. Else the error of class 22 or 23 that undid it; others are raised. */
extern ErrorData *etl_bisect_try(void (*work)(void *arg), void *arg);

/* The same for any error but a cancel, which goes on. */
extern ErrorData *etl_bisect_catch(void (*work)(void *arg), void *arg);

#endif /* ETL_BISECT_H */
