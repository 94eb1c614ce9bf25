-- Checks by hand, and proposals for new ones.

CREATE FUNCTION etl.run_checks(target text, pipeline text DEFAULT NULL, store boolean DEFAULT true)
RETURNS TABLE (pipeline_name text, check_name text, check_type text, state text, measured numeric, unit text, baseline numeric,
               warn text, fail text, message text, samples jsonb)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_run_checks';
COMMENT ON FUNCTION etl.run_checks IS 'Evaluates now all enabled checks of a table, those of one pipeline or of all that you may run, as their owners, in as few scans as possible, and returns a row for each. A check that raises an error has state error; nothing is rolled back. store: whether the results are kept in etl.check_result, without a run. Raises 42P01 for a table that does not exist, 42704 when it has no checks.';

CREATE FUNCTION etl.suggest_checks(target regclass, pipeline text DEFAULT NULL)
RETURNS TABLE (check_name text, check_type text, reason text, command text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  names    text;
  wanted   text := suggest_checks.pipeline;
  s        record;
  r        record;
BEGIN
  SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name, n.nspname, c.relname, c.reltuples::numeric AS rows, c.oid
    INTO r FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = suggest_checks.target;
  IF NOT EXISTS (SELECT FROM pg_stats AS p WHERE p.schemaname = r.nspname AND p.tablename = r.relname) THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('%s has no statistics that you may read', r.name),
      DETAIL = 'Checks are proposed from what ANALYZE has found.', HINT = format('ANALYZE %s;', r.name);
  END IF;
  IF wanted IS NULL THEN
    SELECT p.name INTO wanted FROM etl.task AS t JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id
    WHERE t.target = r.name AND t.kind IN ('load', 'aggregate', 'extract') ORDER BY t.task_id LIMIT 1;
  END IF;
  wanted := quote_literal(coalesce(wanted, 'pipeline'));
  names := r.relname;

  check_name := names || '_volume'; check_type := 'row_count_variance';
  reason := format('It has about %s rows.', round(greatest(r.rows, 0)));
  command := format('SELECT etl.add_check(%s, %L, target => %L, type => %L, warn => %L, fail => %L);', wanted, check_name, r.name, check_type, '10%', '25%');
  RETURN NEXT;

  FOR s IN
    SELECT p.attname AS name, p.null_frac, p.n_distinct, p.most_common_vals::text::text[] AS values, p.most_common_freqs AS shares,
           p.histogram_bounds::text::text[] AS bounds, a.atttypid, a.attnotnull, y.typcategory AS category, quote_ident(p.attname) AS quoted,
           EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = r.oid AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL) AS is_unique,
           EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = r.oid AND k.contype = 'f' AND k.conkey = ARRAY[a.attnum]) AS has_reference
    FROM pg_stats AS p
    JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attname = p.attname
    JOIN pg_type AS y ON y.oid = a.atttypid
    WHERE p.schemaname = r.nspname AND p.tablename = r.relname AND left(p.attname, 5) <> '_etl_'
      AND p.inherited = (SELECT relkind = 'p' FROM pg_class WHERE oid = r.oid)
    ORDER BY a.attnum
  LOOP
    IF NOT s.attnotnull AND s.null_frac < 0.2 THEN
      check_name := names || '_' || s.name || '_null'; check_type := 'null_pct';
      reason := CASE WHEN s.null_frac = 0 THEN 'No row without a value was seen.'
                     ELSE format('%s%% of the rows have no value.', round((100 * s.null_frac)::numeric, 2)) END;
      command := format('SELECT etl.add_check(%s, %L, target => %L, type => %L, columns => %L, %s => %L);', wanted, check_name, r.name, check_type,
                        ARRAY[s.name], CASE WHEN s.null_frac = 0 THEN 'fail' ELSE 'warn' END,
                        CASE WHEN s.null_frac = 0 THEN '0%' ELSE ceil(200 * s.null_frac) || '%' END);
      RETURN NEXT;
    END IF;
    IF s.n_distinct = -1 AND NOT s.is_unique AND r.rows >= 100 THEN
      check_name := names || '_' || s.name || '_unique'; check_type := 'unique';
      reason := 'No value was seen twice, and no unique index says that none may be.';
      command := format('SELECT etl.add_check(%s, %L, target => %L, type => %L, columns => %L);', wanted, check_name, r.name, check_type, ARRAY[s.name]);
      RETURN NEXT;
    END IF;
    IF s.n_distinct BETWEEN 2 AND 20 AND s.category IN ('S', 'E') AND cardinality(s.values) >= s.n_distinct
       AND (SELECT sum(f) FROM unnest(s.shares) AS f) + s.null_frac > 0.999 THEN
      check_name := names || '_' || s.name || '_values'; check_type := 'accepted_values';
      reason := format('Only %s values were seen.', cardinality(s.values));
      command := format('SELECT etl.add_check(%s, %L, target => %L, type => %L, columns => %L, accepted_values => %L);', wanted, check_name, r.name,
                        check_type, ARRAY[s.name], (SELECT array_agg(v ORDER BY v COLLATE "C") FROM unnest(s.values) AS v));
      RETURN NEXT;
    END IF;
    IF s.category = 'N' AND s.bounds IS NOT NULL AND s.bounds[1]::numeric >= 0 AND s.name !~ '(_id|_key)$'
       AND NOT EXISTS (SELECT FROM unnest(s.values) AS v WHERE v::numeric < 0) THEN
      check_name := names || '_' || s.name || '_range'; check_type := 'range';
      reason := format('No value below 0 was seen; they reach from %s to %s.', s.bounds[1], s.bounds[cardinality(s.bounds)]);
      command := format('SELECT etl.add_check(%s, %L, target => %L, type => %L, columns => %L, min_value => %L);', wanted, check_name, r.name, check_type,
                        ARRAY[s.name], '0');
      RETURN NEXT;
    END IF;
    IF s.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype) AND s.bounds IS NOT NULL
       AND s.bounds[cardinality(s.bounds)] !~ 'infinity' AND now() - s.bounds[cardinality(s.bounds)]::timestamptz BETWEEN '0' AND '7 days' THEN
      check_name := names || '_' || s.name || '_fresh'; check_type := 'freshness';
      reason := format('The newest value that was seen is %s.', s.bounds[cardinality(s.bounds)]);
      command := format('SELECT etl.add_check(%s, %L, target => %L, type => %L, columns => %L, warn => %L);', wanted, check_name, r.name, check_type,
                        ARRAY[s.name], CASE WHEN now() - s.bounds[cardinality(s.bounds)]::timestamptz < '1 day' THEN '26 h' ELSE '8 days' END);
      RETURN NEXT;
    END IF;
    IF s.name ~ '(_id|_key)$' AND NOT s.has_reference AND NOT s.is_unique THEN
      FOR check_type, command IN
        SELECT 'relationship', format('%I.%I', n.nspname, c.relname)
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indisunique AND i.indnkeyatts = 1 AND a.attname = s.name AND a.atttypid = s.atttypid AND c.oid <> r.oid
          AND n.nspname = r.nspname AND has_table_privilege(c.oid, 'SELECT')
        ORDER BY 2 LIMIT 1
      LOOP
        check_name := names || '_' || s.name || '_known';
        reason := format('%s has a unique column of that name, and no foreign key leads there.', command);
        command := format('SELECT etl.add_check(%s, %L, target => %L, type => %L, columns => %L, reference => %L);', wanted, check_name, r.name,
                          check_type, ARRAY[s.name], command);
        RETURN NEXT;
      END LOOP;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION etl.suggest_checks IS 'Proposes checks of a table from its statistics (pg_stats), which cost nothing to read: a row for each, with the reason and the call that adds it. pipeline: the one to name in the calls; NULL: the one that keeps the table. Raises 55000 when it was never analyzed.';
