/*
 * route.h
 *		What the settings of a route mean: whether its config and match make sense, and which alerts it wants.
 */
#ifndef ETL_ROUTE_H
#define ETL_ROUTE_H

#include "catalog/alert.h"
#include "catalog/alert_route.h"

/* Longest name of a NOTIFY channel, in bytes, and the one that a route of channel notify has by default. */
#define ETL_ROUTE_CHANNEL_MAX 63
#define ETL_ROUTE_CHANNEL "etl_alert"

/* The channel that gets events of lineage instead of alerts, and the path that is added to its server's address by default. */
#define ETL_ROUTE_OPENLINEAGE "openlineage"
#define ETL_ROUTE_OPENLINEAGE_PATH "/api/v1/lineage"

/* Has the scheduler look for deliveries after this transaction. */
extern void etl_route_wake(void);

/* Checks all settings of a route as its owner. Errors: 22023, 42622, 42704, 42501, 42809. */
extern void etl_route_check(const EtlAlertRoute *route);

/* Says whether the owner of a route is a member of the role that owns the alert's pipeline. */
extern bool etl_route_may_hear(const EtlAlertRoute *route, const EtlAlert *alert);

/* Says whether a route wants an alert and its owner may hear of it. Never raises an error: an odd match matches nothing. */
extern bool etl_route_wants(const EtlAlertRoute *route, const EtlAlert *alert);

/* A member of config as text, or NULL; a list of addresses. */
extern char *etl_route_text(const EtlAlertRoute *route, const char *name);
extern EtlNames etl_route_list(const EtlAlertRoute *route, const char *name);

#endif /* ETL_ROUTE_H */
