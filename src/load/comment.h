/* comment.h: what a new target says about itself. */
#ifndef ETL_COMMENT_H
#define ETL_COMMENT_H

#include "load/plan.h"

/* Comments a new table and those of its columns that the query returns. */
extern void etl_comment_target(const EtlPlan *plan, const char *table);

/* Gives the columns of a view the comments of the columns of a table that have the same names. */
extern void etl_comment_copy(Oid relation, const char *view);

#endif /* ETL_COMMENT_H */
