-- Options of etl_http that do not fit, and etl.allowed_hosts.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text; state text;
BEGIN
  EXECUTE statement;
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
  RETURN concat_ws(' | ', state, message, nullif(detail, ''), nullif(hint, ''));
END $$;
CREATE FUNCTION pg_temp.server(options text) RETURNS text LANGUAGE sql AS
$$ SELECT pg_temp.refused('CREATE SERVER http_x FOREIGN DATA WRAPPER etl_http OPTIONS (' || options || ')') $$;
CREATE FUNCTION pg_temp.tab(options text) RETURNS text LANGUAGE sql AS
$$ SELECT pg_temp.refused('CREATE FOREIGN TABLE http_t (id int) SERVER http_api OPTIONS (' || options || ')') $$;
CREATE SERVER http_api FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://api.example.com/v1');

-- Servers
SELECT pg_temp.server($$base_url 'https://api.example.com', auth 'digest'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', auth 'api_key'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', auth 'oauth2'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', auth 'oauth2', token_url 'https://example:secret@login.example.com/'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', token_url 'https://login.example.com/'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', auth 'api_key', api_key_name 'a b'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', rate_limit '10'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', rate_limit '0/s'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', max_bytes '10'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', max_bytes '2 GB'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', max_time '10'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', max_redirects '-1'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', token 'secret'$$);
SELECT pg_temp.server($$base_url 'https://api.example.com', path '/x'$$);
SELECT pg_temp.server(E'base_url \'https://api.example.com\', accept E\'a\\r\\nX: y\'');

-- User mappings
SELECT pg_temp.refused($$CREATE USER MAPPING FOR CURRENT_USER SERVER http_api OPTIONS (token 'a', user 'b')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR CURRENT_USER SERVER http_api OPTIONS (header_host 'b')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR CURRENT_USER SERVER http_api OPTIONS (api_key E'a\nb')$$);

-- Foreign tables
SELECT pg_temp.tab($$path 'x'$$);
SELECT pg_temp.tab($$path '/x?a=b'$$);
SELECT pg_temp.tab($$params '?a=b'$$);
SELECT pg_temp.tab($$method 'PUT'$$);
SELECT pg_temp.tab($$body '{}'$$);
SELECT pg_temp.tab($$method 'POST', body '[]'$$);
SELECT pg_temp.tab($$format 'xml'$$);
SELECT pg_temp.tab($$records 'data'$$);
SELECT pg_temp.tab($$records '$.'$$);
SELECT pg_temp.tab($$paging 'pages'$$);
SELECT pg_temp.tab($$paging 'cursor'$$);
SELECT pg_temp.tab($$paging 'cursor', cursor_param 'c'$$);
SELECT pg_temp.tab($$paging 'next_url'$$);
SELECT pg_temp.tab($$next '$.next'$$);
SELECT pg_temp.tab($$cursor_param 'c'$$);
SELECT pg_temp.tab($$page_param 'p', paging 'offset'$$);
SELECT pg_temp.tab($$total '$.total'$$);
SELECT pg_temp.tab($$parallel '4'$$);
SELECT pg_temp.tab($$parallel '99', paging 'page'$$);
SELECT pg_temp.tab($$page_size_param 'limit'$$);
SELECT pg_temp.tab($$format 'csv', records '$[*]'$$);
SELECT pg_temp.tab($$format 'ndjson', header 'true'$$);
SELECT pg_temp.tab($$method 'POST', paging 'link_header'$$);
SELECT pg_temp.tab($$since_param 'since'$$);
SELECT pg_temp.tab($$since_column 'id', since_format 'epoch'$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE http_t (id int OPTIONS (json 'id')) SERVER http_api OPTIONS (path '/x')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE http_t (id int OPTIONS (json '$.id', parent 'id')) SERVER http_api OPTIONS (path '/x')$$);

-- What goes together only with columns and tasks
CREATE FOREIGN TABLE http_rates (code text, as_of timestamptz) SERVER http_api OPTIONS (path '/rates', records '$.data[*]',
  paging 'cursor', cursor_param 'page_token', next '$.meta.next', page_size_param 'limit', page_size '1000',
  since_param 'updated_since', since_column 'as_of', since_format 'epoch');
CREATE FOREIGN TABLE http_wrong (code text) SERVER http_api OPTIONS (path '/rates', since_param 's', since_column 'as_of');
CREATE FOREIGN TABLE http_wrong_format (code text) SERVER http_api OPTIONS (path '/rates', since_param 's', since_column 'code', since_format 'epoch');
CREATE FOREIGN TABLE http_up (id int) SERVER http_api OPTIONS (path '/a/../../b');
CREATE FOREIGN TABLE http_for (id int) SERVER http_api OPTIONS (path '/a/{order_id}', for_each 'SELECT 1 AS id');
SELECT etl.create_pipeline('http_p') > 0 AS created;
SELECT pg_temp.refused($$SELECT etl.add_extract('http_p', 'x', source => 'http_wrong', target => 'public.http_raw')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('http_p', 'x', source => 'http_wrong_format', target => 'public.http_raw')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('http_p', 'x', source => 'http_rates', target => 'public.http_raw', cursor_column => 'code')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('http_p', 'x', source => 'http_rates', target => 'public.http_raw', columns => '{code}')$$);
SELECT pg_temp.refused('SELECT * FROM http_up');
SELECT pg_temp.refused('SELECT * FROM http_for');
EXPLAIN (COSTS off) SELECT * FROM http_rates;

-- Whom we may talk to
SELECT pg_temp.refused($$SET etl.allowed_hosts = '*, example.com:99999'$$);
SELECT pg_temp.refused($$SET etl.allowed_hosts = '10.0.0.1/8'$$);
SELECT pg_temp.refused($$SET etl.allowed_hosts = '10.0.0.0/33'$$);
SELECT pg_temp.refused($$SET etl.allowed_hosts = 'a,,b'$$);
SELECT pg_temp.refused($$SET etl.allowed_hosts = 'http:'$$);
SELECT pg_temp.refused($$SET etl.allowed_hosts = '127.1'$$);
SELECT pg_temp.refused($$SET etl.allowed_hosts = '[::1'$$);
SELECT pg_temp.refused($$SET etl.allowed_hosts = 'api.example.com:443, *.example.org, 10.0.0.0/8, [::1]:8080, fd00::/8, *'$$);
SELECT pg_temp.refused($$SET etl.http_proxy = 'proxy:3128'$$);
CREATE SERVER http_local FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:9', timeout '2 s');
CREATE FOREIGN TABLE http_l (id int) SERVER http_local;
SET etl.allowed_hosts = '*';
SELECT pg_temp.refused('SELECT * FROM http_l');
SET etl.allowed_hosts = 'localhost';
SELECT pg_temp.refused('SELECT * FROM http_l');
CREATE SERVER http_metadata FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://localhost:9', timeout '2 s');
CREATE FOREIGN TABLE http_m (id int) SERVER http_metadata;
SET etl.allowed_hosts = 'localhost:80';
SELECT pg_temp.refused('SELECT * FROM http_m') ~ '42501.*etl.allowed_hosts' AS other_port_is_refused;
RESET etl.allowed_hosts;

SELECT etl.drop_pipeline('http_p');
DROP FUNCTION pg_temp.server, pg_temp.tab;
DROP SERVER http_api, http_local, http_metadata CASCADE;
