\echo Use "CREATE EXTENSION etl_ext" to load this file. \quit

-- Nothing in this script may resolve to an object that somebody planted in another schema.
SET LOCAL search_path TO pg_catalog, pg_temp;
