/* cost_day.h: the tables etl.cost_day, etl.cost_total and etl.run_count: sums that outlive the runs. */
#ifndef ETL_COST_DAY_H
#define ETL_COST_DAY_H

#include "c.h"

/*
 * Adds runs that have ended, and their attempts, to the sums; true: there may be more. Only for the scheduler, of which there
 * is one: its rows are then never waited for.
 */
extern bool etl_cost_day_count(void);

#endif /* ETL_COST_DAY_H */
