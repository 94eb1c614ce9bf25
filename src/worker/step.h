/* step.h: the transactions of the scheduler. */
#ifndef ETL_STEP_H
#define ETL_STEP_H

extern void etl_step_begin(void);
extern void etl_step_end(void);

#endif /* ETL_STEP_H */
