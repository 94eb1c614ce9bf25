-- Everything in the extension has a comment: schema, tables, views, their columns, functions and procedures.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;

SELECT n.nspname AS schema_without_comment
FROM pg_namespace AS n
WHERE n.nspname = 'etl' AND obj_description(n.oid, 'pg_namespace') IS NULL;

SELECT c.oid::regclass AS relation_without_comment
FROM pg_class AS c
WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND obj_description(c.oid, 'pg_class') IS NULL
ORDER BY 1::text;

SELECT c.oid::regclass AS relation, a.attname AS column_without_comment
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND col_description(c.oid, a.attnum) IS NULL
ORDER BY c.relname, a.attnum;

SELECT p.oid::regprocedure AS function_without_comment
FROM pg_proc AS p
WHERE p.pronamespace = 'etl'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
ORDER BY p.proname;

SELECT w.fdwname AS wrapper_without_comment
FROM pg_foreign_data_wrapper AS w
WHERE w.fdwname LIKE 'etl%' AND obj_description(w.oid, 'pg_foreign_data_wrapper') IS NULL
ORDER BY w.fdwname;

-- All of it belongs to the extension, and the extension puts nothing elsewhere but its foreign data wrappers and event triggers, which have no schema.
SELECT c.oid::regclass AS relation_outside_extension
FROM pg_class AS c
WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                    AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'etl_ext'))
ORDER BY c.relname;

SELECT pg_describe_object(d.classid, d.objid, 0) AS object_outside_schema
FROM pg_depend AS d
JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'etl_ext'
WHERE d.deptype = 'e' AND d.classid NOT IN ('pg_foreign_data_wrapper'::regclass, 'pg_event_trigger'::regclass)
  AND coalesce((SELECT relnamespace FROM pg_class WHERE d.classid = 'pg_class'::regclass AND oid = d.objid),
               (SELECT pronamespace FROM pg_proc WHERE d.classid = 'pg_proc'::regclass AND oid = d.objid),
               (SELECT oid FROM pg_namespace WHERE d.classid = 'pg_namespace'::regclass AND oid = d.objid),
               (SELECT typnamespace FROM pg_type WHERE d.classid = 'pg_type'::regclass AND oid = d.objid))
      IS DISTINCT FROM 'etl'::regnamespace
ORDER BY 1;

-- The version of the extension is that of its files.
SELECT extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'etl_ext') AS version_is_the_default
FROM pg_extension WHERE extname = 'etl_ext';
