-- Alerts: where they go, and the servers that they are sent to.

CREATE FUNCTION etl.feed_handler()
RETURNS fdw_handler LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'etl_feed_handler';
COMMENT ON FUNCTION etl.feed_handler IS 'Handler of the foreign data wrappers etl_http, etl_s3, etl_file and etl_kafka: a SELECT on one of their tables reads the source.';

CREATE FUNCTION etl.http_validator(options text[], catalog oid)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'etl_http_validator';
COMMENT ON FUNCTION etl.http_validator IS 'Checks the options of foreign data wrapper etl_http; called by CREATE and ALTER SERVER and USER MAPPING.';
CREATE FOREIGN DATA WRAPPER etl_http HANDLER etl.feed_handler VALIDATOR etl.http_validator;
COMMENT ON FOREIGN DATA WRAPPER etl_http IS 'Servers that speak HTTP: APIs, whose lists of records are foreign tables, and receivers of alerts. The options are described in docs/http.md.';

CREATE FUNCTION etl.smtp_validator(options text[], catalog oid)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'etl_smtp_validator';
COMMENT ON FUNCTION etl.smtp_validator IS 'Checks the options of foreign data wrapper etl_smtp; called by CREATE and ALTER SERVER and USER MAPPING.';
CREATE FOREIGN DATA WRAPPER etl_smtp NO HANDLER VALIDATOR etl.smtp_validator;
COMMENT ON FOREIGN DATA WRAPPER etl_smtp IS 'Mail servers. Server options: host, tls (starttls, the default, tls or none), port (default 587, 465 or 25), from, timeout (default 30 s). User mapping options, secret: user, password.';

CREATE FUNCTION etl.add_alert_route(
  name text, channel text, config jsonb DEFAULT NULL, match jsonb DEFAULT NULL, server text DEFAULT NULL,
  suppress interval DEFAULT NULL, mute_until timestamptz DEFAULT NULL, enabled boolean DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_add_alert_route';
COMMENT ON FUNCTION etl.add_alert_route IS 'Adds a way for alerts about pipelines whose owner you are a member of. channel: notify, webhook, email, log, or openlineage, which gets events of lineage instead of alerts; server: foreign server of wrapper etl_http (webhook, openlineage) or etl_smtp (email); config: notify {"channel"}, webhook {"path"}, email {"to", "from", "subject_prefix"}, openlineage {"path", "namespace", "dataset_namespace"}; match: only alerts with these values of severity, event, pipeline, task, owner (a text or a list) and tags (an object); suppress: no other alert of the same pipeline and severity for this time (default 1 h). Raises 42710 when the name is taken, 22023 for a bad value, 42704, 42809 and 42501 for a server that does not exist, is of another wrapper, or that you have no USAGE on.';

CREATE FUNCTION etl.alter_alert_route(
  name text, channel text DEFAULT NULL, config jsonb DEFAULT NULL, match jsonb DEFAULT NULL, server text DEFAULT NULL,
  suppress interval DEFAULT NULL, mute_until timestamptz DEFAULT NULL, enabled boolean DEFAULT NULL,
  new_name text DEFAULT NULL, reset text[] DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_alter_alert_route';
COMMENT ON FUNCTION etl.alter_alert_route IS 'Changes the named settings of a route; NULL leaves a setting alone, reset => ''{match}'' sets it back to its default (server, config, match, suppress, mute_until, enabled). config and match are replaced as a whole.';

CREATE FUNCTION etl.drop_alert_route(name text)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_drop_alert_route';
COMMENT ON FUNCTION etl.drop_alert_route IS 'Drops a route. What it has still to deliver is given up; its rows in etl.alert_delivery stay.';

CREATE FUNCTION etl.mute_alerts(until timestamptz, route text DEFAULT NULL)
RETURNS integer LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_mute_alerts';
COMMENT ON FUNCTION etl.mute_alerts IS 'Lets a route, or all routes that you may change, send nothing before a moment; NULL: they send again. What is not sent is recorded as muted. Returns the number of routes.';

CREATE FUNCTION etl.test_alert_route(name text)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_test_alert_route';
COMMENT ON FUNCTION etl.test_alert_route IS 'Sends an alert of event test by one route, whatever it matches, and returns its number; etl.alert_delivery shows what came of it. Raises 55000 while the route is muted or disabled.';
