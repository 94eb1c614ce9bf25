-- Alerts: servers, routes and what is refused; who hears of what, suppression, recovery. Delivery is in test/t/060_alerts.pl.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE alert_bi LOGIN;
CREATE ROLE alert_member LOGIN IN ROLE alert_bi;
CREATE ROLE alert_other LOGIN;
GRANT USAGE ON SCHEMA etl TO alert_bi, alert_other;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never

-- refused executes a statement that should fail and shows SQLSTATE, message, detail and hint.
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  EXECUTE statement;
  RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || SQLERRM, '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(hint, ''));
END
$$;

-- Servers: what is valid, where it belongs.
CREATE SERVER alert_chat FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com/services', timeout '5 s');
CREATE SERVER alert_post FOREIGN DATA WRAPPER etl_smtp OPTIONS (host 'mail.example.com', port '587', tls 'starttls', "from" 'etl@example.com');
CREATE SERVER alert_relay FOREIGN DATA WRAPPER etl_smtp OPTIONS (host '::1', tls 'none');
CREATE SERVER alert_closed FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:8080');
GRANT USAGE ON FOREIGN SERVER alert_chat, alert_post, alert_relay TO alert_bi;
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'hooks.example.com')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'ftp://hooks.example.com')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://example:secret@hooks.example.com')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com?token=secret')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com/#x')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com/a b')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url E'https://hooks.example.com\nX-Evil: 1')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com:port')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com', token 'secret')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com', header_x_key 'secret')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com', colour 'red')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com', timeout '30')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com', timeout '1 h')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://hooks.example.com', timeout '5 ms')$$);
SELECT pg_temp.refused($$ALTER SERVER alert_chat OPTIONS (DROP base_url)$$);
SELECT pg_temp.refused($$ALTER FOREIGN DATA WRAPPER etl_http OPTIONS (ADD timeout '3 s')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER alert_chat OPTIONS (path 'x')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_smtp OPTIONS (port '25')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_smtp OPTIONS (host 'mail.example.com/x')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_smtp OPTIONS (host 'mail.example.com', port '0')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_smtp OPTIONS (host 'mail.example.com', port '70000')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_smtp OPTIONS (host 'mail.example.com', port '25x')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_smtp OPTIONS (host 'mail.example.com', tls 'maybe')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_smtp OPTIONS (host 'mail.example.com', "from" 'etl')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_smtp OPTIONS (host 'mail.example.com', "from" 'ETL <etl@example.com>')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_smtp OPTIONS (host 'mail.example.com', password 'secret')$$);
-- User mappings: no message shows a value.
CREATE USER MAPPING FOR alert_bi SERVER alert_chat OPTIONS (url 'https://hooks.example.com/services/T0/B0/secret');
CREATE USER MAPPING FOR PUBLIC SERVER alert_post OPTIONS ("user" 'etl', password 'secret');
SELECT pg_temp.refused($$CREATE USER MAPPING FOR alert_other SERVER alert_chat OPTIONS (base_url 'https://x.example.com')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR alert_other SERVER alert_chat OPTIONS (url 'secret')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR alert_other SERVER alert_chat OPTIONS (colour 'secret')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR alert_other SERVER alert_chat OPTIONS (token '')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR alert_other SERVER alert_chat OPTIONS (token E'secret\r\nX-Evil: 1')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR alert_other SERVER alert_chat OPTIONS (token 'secret', password 'secret')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR alert_other SERVER alert_chat OPTIONS (header_host 'secret')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR alert_other SERVER alert_chat OPTIONS ("header_X: 1" 'secret')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR alert_other SERVER alert_post OPTIONS (token 'secret')$$);

-- Routes that make no sense.
SET ROLE alert_bi;
SELECT pg_temp.refused($$SELECT etl.add_alert_route(NULL, 'log')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('', 'log')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route(repeat('x', 129), 'log')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', NULL)$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'pigeon')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '[]')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '{"colour": "red"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '{"severity": "bad"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '{"severity": ["fail", 1]}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '{"severity": []}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '{"event": {"is": "run_failed"}}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '{"event": ["run_failed", "test"]}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '{"pipeline": 1}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '{"owner": "alert_nobody"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', match => '{"tags": "bi"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', config => '{"channel": "x"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', server => 'alert_chat')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', suppress => '-1 s')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'log', suppress => '10 years')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'notify', config => '{"channel": ""}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'notify', config => jsonb_build_object('channel', repeat('x', 64)))$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'notify', config => '{"channel": 1}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'notify', config => '{"path": "/x"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook', server => 'alert_nowhere')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook', server => 'alert_post')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook', server => 'alert_closed')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook', server => 'alert_chat', config => '{"path": "x"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook', server => 'alert_chat', config => '{"path": "/a b"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook', server => 'alert_chat', config => '{"path": "/a/../b"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook', server => 'alert_chat', config => '{"path": "/%2E./b"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook', server => 'alert_chat', config => '{"token": "secret"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'openlineage')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'openlineage', server => 'alert_chat', config => '{"token": "secret"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'openlineage', server => 'alert_chat', config => '{"namespace": ""}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'openlineage', server => 'alert_chat', match => '{"severity": "fail"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'openlineage', server => 'alert_chat', match => '{"event": "run_failed"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'email', server => 'alert_post')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'email', server => 'alert_post', config => '{"to": []}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'email', server => 'alert_post', config => '{"to": "a@example.com\nBcc: b@example.com"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'email', server => 'alert_post', config => '{"to": ["a@example.com", "b"]}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'email', server => 'alert_post', config => jsonb_build_object('to', array_fill('a@example.com'::text, '{51}')))$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'email', server => 'alert_post', config => '{"to": "a@example.com", "from": "b c@example.com"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'email', server => 'alert_relay', config => '{"to": "a@example.com"}')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'email', server => 'alert_post', config => jsonb_build_object('to', 'a@example.com', 'subject_prefix', repeat('x', 101)))$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'email', server => 'alert_post', config => '{"to": "a@example.com", "subject_prefix": "a\nBcc: b@example.com"}')$$);
SELECT count(*) FROM etl.alert_route;

-- Routes that do.
SELECT etl.add_alert_route('alert all', 'notify');
SELECT etl.add_alert_route('alert hook', 'webhook', server => 'alert_chat', config => '{"path": "/x"}', match => '{"severity": ["fail", "deadline"]}', enabled => false);
SELECT etl.add_alert_route('alert mail', 'email', '{"to": ["a@example.com", "b@example.com"], "subject_prefix": "[etl]"}', server => 'alert_post', suppress => '0', enabled => false);
SELECT etl.add_alert_route('alert relay', 'email', '{"to": "a@example.com", "from": "b@example.com"}', server => 'alert_relay', mute_until => '2000-01-01', enabled => false);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('alert all', 'log')$$);
SELECT name, channel, server, config, match, suppress, mute_until, enabled, owner FROM etl.alert_route ORDER BY name;
-- Changing them.
SELECT pg_temp.refused($$SELECT etl.alter_alert_route('alert nowhere', enabled => true)$$);
SELECT pg_temp.refused($$SELECT etl.alter_alert_route('alert all', channel => 'webhook')$$);
SELECT pg_temp.refused($$SELECT etl.alter_alert_route('alert all', reset => '{owner}')$$);
SELECT pg_temp.refused($$SELECT etl.alter_alert_route('alert all', new_name => 'alert hook')$$);
SELECT pg_temp.refused($$SELECT etl.alter_alert_route('alert all', new_name => '')$$);
SELECT pg_temp.refused($$SELECT etl.alter_alert_route('alert hook', server => 'alert_closed')$$);
SELECT etl.alter_alert_route('alert relay', channel => 'log', reset => '{server,config,mute_until}');
SELECT etl.alter_alert_route('alert relay', match => '{"pipeline": "x"}', suppress => '5 min', new_name => 'alert log');
SELECT name, channel, server, config, match, suppress, mute_until, enabled FROM etl.alert_route WHERE name = 'alert log';
SELECT etl.alter_alert_route('alert log', reset => '{match,suppress}');
SELECT name, match, suppress FROM etl.alert_route WHERE name = 'alert log';
-- Muting and testing them.
SELECT pg_temp.refused($$SELECT etl.test_alert_route('alert nowhere')$$);
SELECT pg_temp.refused($$SELECT etl.test_alert_route('alert log')$$);
SELECT etl.mute_alerts('2100-01-01 00:00 UTC');
SELECT name, mute_until FROM etl.alert_route ORDER BY name;
SELECT pg_temp.refused($$SELECT etl.test_alert_route('alert all')$$);
SELECT pg_temp.refused($$SELECT etl.mute_alerts(NULL, 'alert nowhere')$$);
SELECT etl.mute_alerts(NULL, 'alert all');
SELECT count(*) FROM etl.alert_route WHERE mute_until IS NULL;
SELECT etl.mute_alerts(NULL);
SELECT etl.test_alert_route('alert all') > 0;
SELECT a.event, a.severity, a.pipeline, a.message, d.route, d.try, d.state, d.message FROM etl.alert AS a JOIN etl.alert_delivery AS d USING (alert_id);
-- They belong to their owner.
SET ROLE alert_other;
SELECT (SELECT count(*) FROM etl.alert_route), (SELECT count(*) FROM etl.alert), (SELECT count(*) FROM etl.alert_delivery);
SELECT pg_temp.refused($$SELECT etl.alter_alert_route('alert all', enabled => false)$$);
SELECT pg_temp.refused($$SELECT etl.drop_alert_route('alert all')$$);
SELECT pg_temp.refused($$SELECT etl.test_alert_route('alert all')$$);
SELECT pg_temp.refused($$SELECT etl.mute_alerts('2100-01-01', 'alert all')$$);
SELECT etl.mute_alerts('2100-01-01');
SELECT pg_temp.refused($$INSERT INTO etl.alert_route (name, channel, owner) VALUES ('x', 'log', 'alert_other')$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('x', 'webhook', server => 'alert_chat')$$);
SET ROLE alert_member;
SELECT count(*) FROM etl.alert_route;
SELECT etl.mute_alerts(NULL);
-- A route that is dropped leaves what it did.
SELECT etl.drop_alert_route('alert log');
SELECT etl.drop_alert_route('alert mail');
SELECT etl.drop_alert_route('alert hook');
SELECT etl.drop_alert_route('alert all');
SELECT pg_temp.refused($$SELECT etl.drop_alert_route('alert all')$$);
SELECT count(*) FROM etl.alert_route;
SELECT route, state FROM etl.alert_delivery;
RESET ROLE;

-- Who hears of what. All are of channel notify, whose deliveries are part of the transaction.
SELECT etl.add_alert_route('all', 'notify', suppress => '0');
SELECT etl.add_alert_route('fail', 'notify', suppress => '0', match => '{"severity": "fail"}');
SELECT etl.add_alert_route('event', 'notify', suppress => '0', match => '{"event": ["run_failed", "recovered"]}');
SELECT etl.add_alert_route('task', 'notify', suppress => '0', match => '{"task": ["broken", "x"]}');
SELECT etl.add_alert_route('pipeline', 'notify', suppress => '0', match => '{"pipeline": "alert two"}');
SELECT etl.add_alert_route('owner', 'notify', suppress => '0', match => '{"owner": "alert_other"}');
SELECT etl.add_alert_route('tags', 'notify', suppress => '0', match => '{"tags": {"team": "bi", "deep": {"a": 1}}}');
SELECT etl.add_alert_route('both', 'notify', suppress => '0', match => '{"tags": {"team": "bi"}, "event": "task_failed"}');
SELECT etl.add_alert_route('disabled', 'notify', enabled => false);
SELECT etl.add_alert_route('muted', 'notify', suppress => '0', mute_until => 'infinity', match => '{"event": "run_failed"}');
SELECT etl.add_alert_route('hourly', 'notify');
SET ROLE alert_bi;
SELECT etl.add_alert_route('bi', 'notify', suppress => '0');
SET ROLE alert_member;
SELECT etl.add_alert_route('member', 'notify', suppress => '0');
SET ROLE alert_other;
SELECT etl.add_alert_route('other', 'notify', suppress => '0');
RESET ROLE;
-- Odd contents match nothing and break nothing.
SELECT etl.add_alert_route('odd', 'notify');
UPDATE etl.alert_route SET match = '{"severity": {"a": 1}, "tags": 1, "owner": null}' WHERE name = 'odd';

CREATE SEQUENCE alert_tries;
GRANT ALL ON SEQUENCE alert_tries TO PUBLIC;
SELECT etl.create_pipeline('alert one', owner => 'alert_bi', tags => '{"team": "bi", "deep": {"a": 1, "b": 2}}') > 0;
SELECT etl.add_sql('alert one', 'broken', 'SELECT 1 / (nextval(''public.alert_tries'') / 3)', retry_delays => '{}') > 0;
SELECT etl.create_pipeline('alert two', owner => 'alert_other') > 0;
SELECT etl.add_sql('alert two', 'broken', 'SELECT 1 / 0', retry_delays => '{}') > 0;
CREATE VIEW told AS
SELECT a.event, a.severity, a.pipeline, a.task, string_agg(d.route || CASE WHEN d.state <> 'sent' THEN ' (' || d.state || ')' ELSE '' END, ', ' ORDER BY d.route) AS routes
FROM etl.alert AS a LEFT JOIN etl.alert_delivery AS d USING (alert_id) WHERE a.event <> 'test' GROUP BY a.alert_id ORDER BY a.alert_id;
SELECT pg_temp.refused($$SELECT etl.run_pipeline('alert two')$$) ~ '^ZE002';
SELECT * FROM told;
SELECT a.event, a.message, a.recovered_at FROM etl.alert AS a WHERE pipeline = 'alert two' ORDER BY alert_id;
SELECT d.message FROM etl.alert_delivery AS d WHERE state = 'muted';
TRUNCATE etl.alert CASCADE;
SELECT pg_temp.refused($$SELECT etl.run_pipeline('alert one')$$) ~ '^ZE002';
SELECT * FROM told;
-- The second failure: the route that is to be told once an hour keeps quiet, and says why.
TRUNCATE etl.alert CASCADE;
SELECT pg_temp.refused($$SELECT etl.run_pipeline('alert one')$$) ~ '^ZE002';
SELECT routes ~ 'hourly \(suppressed\)', count(*) FROM told GROUP BY 1 ORDER BY 1;
SELECT regexp_replace(message, 'alert \d+', 'alert N') FROM etl.alert_delivery WHERE state = 'suppressed';
SELECT count(*) FROM etl.alert_delivery AS d JOIN etl.alert AS a USING (alert_id)
WHERE state = 'suppressed' AND d.message LIKE 'alert ' || (SELECT min(alert_id) FROM etl.alert) || ' %' AND a.event = 'run_failed';
-- It works again: one recovery; the failures are marked, and the next one is told of again.
SELECT etl.run_pipeline('alert one') > 0;
SELECT event, pipeline, routes FROM told WHERE severity = 'recovery';
SELECT regexp_replace(message, ' at .*', ' at ...') FROM etl.alert WHERE event = 'recovered';
SELECT event, recovered_at IS NOT NULL FROM etl.alert ORDER BY alert_id;
SELECT etl.run_pipeline('alert one') > 0;
SELECT count(*) FROM etl.alert WHERE event = 'recovered';
SELECT setval('alert_tries', 1) > 0;
SELECT pg_temp.refused($$SELECT etl.run_pipeline('alert one')$$) ~ '^ZE002';
SELECT event, routes ~ 'hourly(,|$)' AS hourly FROM told ORDER BY 1;
-- Alerts and deliveries are seen by members of the owners, of the pipeline and of the route.
SET ROLE alert_member;
SELECT count(*) > 0, count(*) FILTER (WHERE pipeline <> 'alert one') FROM etl.alert;
SELECT DISTINCT route FROM etl.alert_delivery ORDER BY 1;
SET ROLE alert_other;
SELECT count(*) FROM etl.alert;
SELECT count(*) FROM etl.alert_delivery;
RESET ROLE;
-- Renaming takes the history along; dropping ends what is pending.
SELECT etl.alter_alert_route('hourly', new_name => 'daily');
SELECT DISTINCT route FROM etl.alert_delivery WHERE route IN ('hourly', 'daily');
INSERT INTO etl.alert_delivery (alert_id, route, owner, try, state, due_at)
SELECT min(alert_id), 'disabled', 'alert_bi', 1, 'pending', 'infinity' FROM etl.alert;
SELECT etl.drop_alert_route('disabled');
SELECT state, message, ended_at IS NOT NULL FROM etl.alert_delivery WHERE route = 'disabled';
-- A pipeline takes its alerts along.
SELECT etl.drop_pipeline('alert one');
SELECT count(*), (SELECT count(*) FROM etl.alert_delivery) FROM etl.alert;

SELECT etl.drop_pipeline('alert two');
SELECT count(etl.drop_alert_route(name)) FROM etl.alert_route;
DROP VIEW told;
DROP SEQUENCE alert_tries;
DROP SERVER alert_chat CASCADE;
DROP SERVER alert_post CASCADE;
DROP SERVER alert_relay CASCADE;
DROP SERVER alert_closed CASCADE;
REVOKE USAGE ON SCHEMA etl FROM alert_bi, alert_other;
DROP ROLE alert_member;
DROP ROLE alert_bi;
DROP ROLE alert_other;
