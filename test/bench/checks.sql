-- A fact of 10 million rows and ten checks of it.
SET client_min_messages = warning;
DROP TABLE IF EXISTS public.checked_fact;
CREATE TABLE public.checked_fact (sale_id bigint, customer_id int, quantity int, amount numeric(10,2), status text, created_at timestamptz);
INSERT INTO public.checked_fact
SELECT n, n % 100000, n % 10, (n % 1000)::numeric / 10, CASE n % 3 WHEN 0 THEN 'captured' WHEN 1 THEN 'refunded' ELSE 'open' END, now() - n * interval '1 s'
FROM generate_series(1, :rows) AS n;
ALTER TABLE public.checked_fact ADD PRIMARY KEY (sale_id);
VACUUM ANALYZE public.checked_fact;
DO $$BEGIN IF EXISTS (SELECT FROM etl.pipeline WHERE name = 'checks') THEN PERFORM etl.drop_pipeline('checks'); END IF; END$$;
SELECT etl.create_pipeline('checks');
SELECT etl.add_check('checks', 'c1', 'public.checked_fact', 'row_count', fail => '1000');
SELECT etl.add_check('checks', 'c2', 'public.checked_fact', 'row_count_variance', warn => '5%', fail => '10%');
SELECT etl.add_check('checks', 'c3', 'public.checked_fact', 'null_pct', columns => '{customer_id}', fail => '1%');
SELECT etl.add_check('checks', 'c4', 'public.checked_fact', 'null_pct', columns => '{amount,status}', fail => '1%');
SELECT etl.add_check('checks', 'c5', 'public.checked_fact', 'range', columns => '{quantity}', min_value => '0', max_value => '100');
SELECT etl.add_check('checks', 'c6', 'public.checked_fact', 'accepted_values', columns => '{status}', accepted_values => '{captured,refunded,open}');
SELECT etl.add_check('checks', 'c7', 'public.checked_fact', 'freshness', columns => '{created_at}', fail => '2 h');
SELECT etl.add_check('checks', 'c8', 'public.checked_fact', 'duplicates', columns => '{sale_id}');
SELECT etl.add_check('checks', 'c9', 'public.checked_fact', 'expression', expression => 'customer_id >= 0');
SELECT etl.add_check('checks', 'c10', 'public.checked_fact', 'range', columns => '{amount}', min_value => '0');
