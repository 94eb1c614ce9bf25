/* budget.h: the table etl.budget. */
#ifndef ETL_BUDGET_H
#define ETL_BUDGET_H

#include "catalog/spi.h"
#include "utils/numeric.h"

typedef struct EtlBudget
{
	char *name;
	Numeric amount;
	char *period;
	int64 pipeline_id; /* 0: none */
	Jsonb *tags;
	Numeric warn_pct;
	Oid owner;
} EtlBudget;

/* A budget that has come to its warning, or is spent, since it was last looked at. */
typedef struct EtlBudgetAlert
{
	char *name;
	bool is_exceeded;
	Oid owner;
	char *pipeline; /* NULL: none */
	Jsonb *tags;	/* those of the pipeline, if there is one, and of the budget */
	char *message;
} EtlBudgetAlert;

/* The owner of a budget; InvalidOid: there is none of that name, or its owner is gone. Locks it. */
extern bool etl_budget_find(const char *name, Oid *owner);

/* Stores a budget in place of one of the same name; what it has warned of is forgotten. */
extern void etl_budget_set(const EtlBudget *budget);
extern void etl_budget_delete(const char *name);

/* Whether there are any. */
extern bool etl_budget_exists(void);

/* Notes which budgets are to warn now, once for each period, and returns them. */
extern int etl_budget_due(EtlBudgetAlert **alert);

#endif /* ETL_BUDGET_H */
