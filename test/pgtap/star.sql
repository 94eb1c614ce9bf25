-- A star as a whole: a dimension with versions, a fact that looks its keys up, aggregates over both, and a run that is taken back.
\set ON_ERROR_STOP 1
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
BEGIN;
SELECT no_plan();

CREATE SCHEMA star;
CREATE TABLE star.customer (id int PRIMARY KEY, segment text, phone text, removed boolean DEFAULT false, at timestamptz);
CREATE TABLE star.sale (id int PRIMARY KEY, customer_id int, amount int, sold_at timestamptz, at timestamptz);
SELECT etl.create_pipeline('star');
SELECT etl.add_extract('star', 'customer', source => 'star.customer', target => 'star.raw_customer', primary_key => '{id}',
                       cursor_column => 'at', deletes => 'column:removed');
SELECT etl.add_extract('star', 'sale', source => 'star.sale', target => 'star.raw_sale', primary_key => '{id}', cursor_column => 'at');
SELECT etl.add_load('star', 'dim', target => 'star.dim_customer', mode => 'scd2', key => '{id}', order_by => 'at', track => '{segment}',
                    keep_undo => '1 day', query => 'SELECT id, segment, phone, at FROM star.raw_customer');
SELECT etl.add_load('star', 'fact', target => 'star.fact', key => '{id}', order_by => 'at', keep_undo => '1 day',
                    dimension_keys => '{"customer_key": {"dimension": "star.dim_customer", "by": {"id": "customer_id"}, "at": "sold_at",
                                        "missing": "inferred"}}',
                    query => 'SELECT id, customer_id, amount, sold_at, at FROM star.raw_sale');
SELECT etl.add_aggregate('star', 'by_day', target => 'star.by_day', key => '{day}', keep_undo => '1 day',
                         query => 'SELECT sold_at::date AS day, count(*) AS n, sum(amount) AS amount FROM star.fact GROUP BY 1');
SELECT etl.add_aggregate('star', 'by_segment', target => 'star.by_segment', key => '{segment}', keep_undo => '1 day',
                         query => $$SELECT coalesce(c.segment, '?') AS segment, sum(f.amount) AS amount FROM star.fact AS f
                                    JOIN star.dim_customer AS c USING (customer_key) GROUP BY 1$$);
SELECT etl.add_aggregate('star', 'members', target => 'star.members', key => '{segment}', keep_undo => '1 day',
                         query => $$SELECT coalesce(segment, '?') AS segment, count(*) AS n FROM star.dim_customer WHERE is_current GROUP BY 1$$);

CREATE FUNCTION pg_temp.wrong() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ',
    CASE WHEN EXISTS (SELECT sold_at::date, count(*), sum(amount) FROM star.fact GROUP BY 1 EXCEPT ALL SELECT * FROM star.by_day)
           OR EXISTS (SELECT * FROM star.by_day EXCEPT ALL SELECT sold_at::date, count(*), sum(amount) FROM star.fact GROUP BY 1)
         THEN 'by_day' END,
    CASE WHEN EXISTS (SELECT coalesce(c.segment, '?'), sum(f.amount) FROM star.fact AS f JOIN star.dim_customer AS c USING (customer_key)
                      GROUP BY 1 EXCEPT ALL SELECT * FROM star.by_segment)
           OR EXISTS (SELECT * FROM star.by_segment EXCEPT ALL SELECT coalesce(c.segment, '?'), sum(f.amount) FROM star.fact AS f
                      JOIN star.dim_customer AS c USING (customer_key) GROUP BY 1)
         THEN 'by_segment' END,
    CASE WHEN EXISTS (SELECT coalesce(segment, '?'), count(*) FROM star.dim_customer WHERE is_current GROUP BY 1 EXCEPT ALL SELECT * FROM star.members)
           OR EXISTS (SELECT * FROM star.members EXCEPT ALL SELECT coalesce(segment, '?'), count(*) FROM star.dim_customer WHERE is_current GROUP BY 1)
         THEN 'members' END,
    CASE WHEN (SELECT count(*) FROM star.fact) <> (SELECT count(*) FROM star.fact JOIN star.dim_customer USING (customer_key)) THEN 'keys' END) $$;

CREATE FUNCTION pg_temp.stir(p_n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..p_n LOOP
    IF random() < 0.4 THEN
      INSERT INTO star.customer VALUES ((random() * 30)::int, 's' || (random() * 9)::int, 'p' || i, false, clock_timestamp())
      ON CONFLICT (id) DO UPDATE SET segment = excluded.segment, phone = excluded.phone, removed = random() < 0.2, at = excluded.at;
    ELSE
      INSERT INTO star.sale VALUES ((random() * 300)::int, (random() * 40)::int, (random() * 100)::int,
                                    now() - (random() * 30)::int * interval '1 day', clock_timestamp())
      ON CONFLICT (id) DO UPDATE SET customer_id = excluded.customer_id, amount = excluded.amount, sold_at = excluded.sold_at, at = excluded.at;
    END IF;
  END LOOP;
END $$;
CREATE FUNCTION pg_temp.rounds(p_seed float) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text := '';
  wrong text;
BEGIN
  PERFORM setseed(p_seed);
  FOR i IN 1..10 LOOP
    PERFORM pg_temp.stir(CASE WHEN i = 1 THEN 200 WHEN i % 3 = 0 THEN 2 ELSE 12 END);
    PERFORM etl.run_pipeline('star', mode => 'inline');
    wrong := pg_temp.wrong();
    IF wrong <> '' THEN
      result := result || i || ': ' || wrong || ' ';
    END IF;
  END LOOP;
  RETURN result;
END $$;
SELECT is(pg_temp.rounds(s), '', 'aggregates over fact and dimension are what their queries give, seed ' || s) FROM unnest('{0.2,0.7}'::float[]) AS s;
SELECT ok((SELECT count(*) FROM etl.task_run WHERE task IN ('by_day', 'members') AND details ? 'groups_touched') > 20,
          'most runs of them compute touched groups only');

-- A member that a fact infers reaches those who follow the dimension, and so does the row that completes it.
INSERT INTO star.sale VALUES (1001, 99, 5, now(), clock_timestamp());
SELECT etl.run_pipeline('star', mode => 'inline');
SELECT is(pg_temp.wrong(), '', 'an inferred member counts');
INSERT INTO star.customer VALUES (99, 's1', 'p', false, clock_timestamp());
SELECT etl.run_pipeline('star', mode => 'inline');
SELECT is(pg_temp.wrong(), '', 'so does the row that completes it');
SELECT is((SELECT concat_ws(' ', segment, is_inferred, valid_from) FROM star.dim_customer JOIN star.fact AS f USING (customer_key) WHERE f.id = 1001),
          's1 f -infinity', 'in place: the fact refers to it');

-- A run is taken back: everything is as it was, and comes again.
CREATE FUNCTION pg_temp.state() RETURNS text LANGUAGE sql AS $$
  SELECT md5(concat((SELECT string_agg(d::text, ' ' ORDER BY customer_key) FROM star.dim_customer AS d WHERE NOT is_inferred),
                    (SELECT string_agg(f::text, ' ' ORDER BY id) FROM star.fact AS f), (SELECT string_agg(a::text, ' ' ORDER BY a) FROM star.by_day AS a),
                    (SELECT string_agg(a::text, ' ' ORDER BY a) FROM star.by_segment AS a),
                    (SELECT string_agg(c::text, ' ' ORDER BY task_id, input) FROM (SELECT task_id, input, batch_id FROM etl.consumed) AS c))) $$;
CREATE TEMPORARY TABLE before AS SELECT pg_temp.state() AS state;
SELECT pg_temp.stir(30);
SELECT etl.run_pipeline('star', mode => 'inline') AS run_id \gset
CREATE TEMPORARY TABLE after AS SELECT pg_temp.state() AS state;
SELECT isnt((SELECT state FROM after), (SELECT state FROM before), 'a run changes the star');
SELECT count(*) > 0 FROM etl.rollback_run(:run_id);
SELECT is(pg_temp.state(), (SELECT state FROM before), 'rollback_run puts it back');
SELECT etl.run_pipeline('star', mode => 'inline');
SELECT is(pg_temp.wrong(), '', 'the next run is right again');

SELECT * FROM finish();
ROLLBACK;
