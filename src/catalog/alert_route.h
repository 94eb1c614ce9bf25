/* alert_route.h: the table etl.alert_route. */
#ifndef ETL_ALERT_ROUTE_H
#define ETL_ALERT_ROUTE_H

#include "catalog/spi.h"

typedef struct EtlAlertRoute
{
	char *name;
	char *channel;
	char *server; /* NULL: none */
	Jsonb *config;
	Jsonb *match;
	Interval *suppress;
	TimestampTz mute_until; /* DT_NOBEGIN: not muted */
	bool muted;				/* at this moment */
	bool enabled;
	Oid owner; /* InvalidOid: the role is gone */
	char *owner_name;
} EtlAlertRoute;

extern EtlAlertRoute *etl_alert_route_find(const char *name);
extern EtlAlertRoute *etl_alert_route_get(const char *name);
extern EtlAlertRoute *etl_alert_route_parse(Jsonb *definition);
extern Jsonb *etl_alert_route_definition(const char *name);
extern int etl_alert_route_list(EtlAlertRoute ***route);
extern void etl_alert_route_insert(const EtlAlertRoute *route);
extern void etl_alert_route_update(const char *name, const EtlAlertRoute *route);
extern uint64 etl_alert_route_mute(const char *name, Oid role, TimestampTz until);
extern void etl_alert_route_delete(const char *name);

#endif /* ETL_ALERT_ROUTE_H */
