-- A table of :rows rows and 8 columns in PostgreSQL.
CREATE TABLE lines (
  line_id    bigint PRIMARY KEY,
  order_id   bigint NOT NULL,
  product    integer NOT NULL,
  amount     numeric(12, 2) NOT NULL,
  status     varchar(20) NOT NULL,
  note       text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
INSERT INTO lines SELECT n, n / 3, n % 5000, (n % 100000) / 100.0, (ARRAY['new', 'paid', 'sent', 'closed'])[n % 4 + 1],
  CASE WHEN n % 3 = 0 THEN 'note ' || md5(n::text) END, timestamptz '2026-01-01 00:00+00' + n * interval '1 s',
  timestamptz '2026-01-02 00:00+00' + n * interval '1 s' FROM generate_series(1, :rows) AS n;
CREATE INDEX ON lines (updated_at);
VACUUM ANALYZE lines;
CREATE ROLE bench LOGIN PASSWORD :'password';
GRANT pg_read_all_stats TO bench;
GRANT SELECT ON lines TO bench;
