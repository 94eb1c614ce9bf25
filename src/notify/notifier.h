/*
 * notifier.h
 *		The worker that delivers alerts: started by the scheduler when a delivery is due, one per database, gone when none
 *		is left. No transaction is open while it talks to a receiver.
 */
#ifndef ETL_NOTIFIER_H
#define ETL_NOTIFIER_H

#include "datatype/timestamp.h"

/* When the next delivery is due; DT_NOEND: none, or a notifier is at work. Called inside a transaction. */
extern TimestampTz etl_notifier_due(void);

/* Starts a notifier; false when the server has no free worker. Called outside of a transaction. */
extern bool etl_notifier_start(void);

#endif /* ETL_NOTIFIER_H */
