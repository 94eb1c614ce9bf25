/* alert_delivery.h: the table etl.alert_delivery. */
#ifndef ETL_ALERT_DELIVERY_H
#define ETL_ALERT_DELIVERY_H

#include "catalog/alert.h"
#include "catalog/alert_route.h"

/* A try to deliver an alert. */
typedef struct EtlDelivery
{
	int64 delivery_id;
	int try;
	char *route;
	EtlAlert alert;
	char *event; /* an event of OpenLineage that is sent in place of the alert; NULL: none */
} EtlDelivery;

extern void etl_alert_delivery_insert(const EtlAlert *alert, const EtlAlertRoute *route, const char *state,
									  const char *message);
extern int64 etl_alert_delivery_earlier(const EtlAlert *alert, const EtlAlertRoute *route);
extern TimestampTz etl_alert_delivery_due(void);
extern bool etl_alert_delivery_claim(EtlDelivery *delivery);
extern int etl_alert_delivery_orphans(EtlDelivery **delivery);
extern bool etl_alert_delivery_end(int64 delivery_id, const char *state, const char *message);
extern void etl_alert_delivery_again(int64 delivery_id, int seconds);
extern void etl_alert_delivery_rename(const char *route, const char *new_name);
extern void etl_alert_delivery_drop(const char *route);

#endif /* ETL_ALERT_DELIVERY_H */
