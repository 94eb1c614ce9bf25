/*
 * lookup.h
 *		The statements that look up keys of dimensions. Pure: text from a plan.
 *
 * Tables, each with the suffix of the run in its name: etl_stage has the rows of the query, etl_member<i> the different
 * keys of dimension i in them, etl_lookup<i> the versions of those that the dimension has, etl_missing<i> the others,
 * etl_refused<i> the rows that are rejected.
 */
#ifndef ETL_LOOKUP_H
#define ETL_LOOKUP_H

#include "load/dimension.h"

typedef struct EtlLookup
{
	const EtlPlan *plan;
	const char *suffix; /* of the tables */
} EtlLookup;

/* "pg_temp.etl_<kind><i + 1><suffix>"; i < 0: without a number. */
extern char *etl_lookup_table(const EtlLookup *lookup, const char *kind, int i);

/* Evaluates the query of the author into etl_stage; returned without what begins it in a run. */
extern char *etl_lookup_stage(const EtlLookup *lookup, const char *query);

/* Creates etl_member<i>. */
extern char *etl_lookup_members(const EtlLookup *lookup, int i);

/* Creates etl_lookup<i>. */
extern char *etl_lookup_versions(const EtlLookup *lookup, int i);

/* Creates etl_missing<i>, numbered by _etl_n. */
extern char *etl_lookup_missing(const EtlLookup *lookup, int i);

/* Adds the members of etl_missing<i> to etl_lookup<i> that the dimension has now; deletes from etl_missing<i> what is found. */
extern char *etl_lookup_again(const EtlLookup *lookup, int i);
extern char *etl_lookup_forget(const EtlLookup *lookup, int i);

/* Inserts the missing members, or those of them with a number from low to high, into the dimension. */
extern char *etl_lookup_infer(const EtlLookup *lookup, int i, const char *condition);

/* Creates etl_refused<i>, numbered by _etl_n, of the rows without a member; is_strict: also where a column of by is NULL. */
extern char *etl_lookup_refused(const EtlLookup *lookup, int i, bool is_strict);

/* Deletes them from etl_stage. */
extern char *etl_lookup_refuse(const EtlLookup *lookup, int i);

/* Counts the rows of etl_stage that have a member; and those with a time before the first version of it. */
extern char *etl_lookup_found(const EtlLookup *lookup, int i);
extern char *etl_lookup_early(const EtlLookup *lookup, int i);

/* The query that returns the rows with their keys. */
extern char *etl_lookup_query(const EtlLookup *lookup);

/* Columns that the query of the author returns, each after prefix; sequence: those that etl_ext added too. */
extern char *etl_lookup_columns(const EtlLookup *lookup, const char *prefix, bool sequence);

/* The condition that a column of by is NULL in row s. */
extern char *etl_lookup_is_null(const EtlLookup *lookup, int i);

#endif /* ETL_LOOKUP_H */
