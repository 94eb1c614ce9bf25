/*
 * plan_probe.h
 *		What the plan of a generated query says about pushdown.
 */
#ifndef ETL_PLAN_PROBE_H
#define ETL_PLAN_PROBE_H

typedef struct EtlPlanFacts
{
	bool foreign;	   /* some rows come from a foreign table */
	bool mysql;		   /* ... through mysql_fdw, whose scans may end early without an error */
	bool local_filter; /* a foreign scan returns rows that are then thrown away here */
	bool local_sort;   /* rows of a foreign scan are sorted here */
	bool only_scan;	   /* the whole plan is one foreign scan that throws nothing away */
	char *remote_sql;  /* what the first foreign scan sends, or NULL */
} EtlPlanFacts;

/* Plans a query without executing it and looks at the plan. */
extern void etl_plan_probe(const char *sql, EtlPlanFacts *facts);

/*
 * Lets a foreign source sort whatever it can, in a GUC nest level of the caller's: where the planner expects a few rows,
 * it would rather fetch all of them and sort them here, for each page again.
 */
extern void etl_plan_leave_sorting(void);

#endif /* ETL_PLAN_PROBE_H */
