/*
 * commit_bound.h
 *		What is open at a source: the transactions that may still commit rows with cursor values that others have passed.
 *
 * Whoever reads up to a cursor value and goes on from there next time loses what was stamped earlier and committed later.
 * So the question is asked before the read: since when has the oldest of the transactions been open that may write?
 */
#ifndef ETL_COMMIT_BOUND_H
#define ETL_COMMIT_BOUND_H

#include "source/extract_run.h"

/*
 * now() of a transaction is the moment when its first statement arrived, a little before others can see that it is open:
 * what is known of starts is taken to be this much earlier.
 */
#define ETL_BOUND_MARGIN (2 * USECS_PER_SEC)

/* pg_prepared_xacts has the moment of PREPARE TRANSACTION; the transaction is taken to have begun this much earlier. */
#define ETL_BOUND_PREPARED USECS_PER_HOUR

typedef struct EtlWriters
{
	const char *why_not; /* not NULL: nothing is known, and why in words */
	const char *blocker; /* not NULL: who had a transaction open for longer than etl.writer_wait */
	TimestampTz now;	 /* when it was asked, by the source's clock */
	TimestampTz oldest;	 /* all that began before have ended, and can be seen from now on; with the margin */
} EtlWriters;

/*
 * Finds out, with a step open before and after. all: waits (etl.writer_wait) until everything that was open has ended;
 * else only for what hides its start. The strings live in extract->context.
 */
extern void etl_writers_pg(EtlExtract *extract, bool all, EtlWriters *writers);
extern void etl_writers_local(EtlExtract *extract, bool all, EtlWriters *writers);

/* The same for an extract of a time cursor that is going to read in a snapshot of a group: call it before it is taken, with no step open. */
extern TimestampTz etl_writers_oldest(EtlRemote *remote);

/* The base tables of a local source; *why_not is set when it has others than tables and views of them. In a transaction. */
extern List *etl_local_tables(const EtlSource *source, const char **why_not);

/* Waits a little longer each time until the setting's time is over; false: it is. */
typedef struct EtlPatience
{
	TimestampTz until;
	long pause;
} EtlPatience;

extern void etl_patience_begin(EtlPatience *patience);
extern bool etl_patience_wait(EtlPatience *patience);

/* What etl.validate says about an extract whose source tells nothing about open transactions; NULL: nothing. */
extern char *etl_commit_bound_problem(const EtlTask *task, const EtlSource *source);

#endif /* ETL_COMMIT_BOUND_H */
