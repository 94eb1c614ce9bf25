/* statement.h: how far a long statement of an attempt is. */
#ifndef ETL_OBSERVE_STATEMENT_H
#define ETL_OBSERVE_STATEMENT_H

/* In an executor: from now on statements tell how many rows they have read. */
extern void etl_observe_statements(void);

#endif /* ETL_OBSERVE_STATEMENT_H */
