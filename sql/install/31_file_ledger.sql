-- Files that extracts have read.

CREATE TABLE etl.file_ledger (
  task_id     bigint NOT NULL REFERENCES etl.task ON DELETE CASCADE,
  path        text NOT NULL,
  etag        text NOT NULL,
  size        bigint NOT NULL,
  modified    timestamptz,
  state       text NOT NULL CHECK (state IN ('loading', 'loaded', 'skipped')),
  records     bigint NOT NULL DEFAULT 0,
  bad_records bigint NOT NULL DEFAULT 0,
  reason      text,
  run_id      bigint,
  updated_at  timestamptz NOT NULL,
  PRIMARY KEY (task_id, path, etag, size)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE etl.file_ledger IS 'Files that an extract has read, or decided not to read: one row per version of a file. A version that is here is not read again; a row never expires.';
COMMENT ON COLUMN etl.file_ledger.task_id IS 'The extract.';
COMMENT ON COLUMN etl.file_ledger.path IS 'Key of the object, or path below root.';
COMMENT ON COLUMN etl.file_ledger.etag IS 'Version of the file: the ETag of S3, or the time of the last change of a file on disk in ns; *: any version; -: versions that etl.reload_file has forgotten, whose rows the next one replaces.';
COMMENT ON COLUMN etl.file_ledger.size IS 'Its size in bytes; 0 for any version.';
COMMENT ON COLUMN etl.file_ledger.modified IS 'When it was last changed, as the source says.';
COMMENT ON COLUMN etl.file_ledger.state IS 'loading: an attempt has begun with it; loaded; skipped: bad (on_error), changed (file_changed => ignore), or by etl.skip_file.';
COMMENT ON COLUMN etl.file_ledger.records IS 'Records that are committed, bad ones included; an attempt that finds it loading goes on behind them.';
COMMENT ON COLUMN etl.file_ledger.bad_records IS 'Of them those that went to etl.quarantine.';
COMMENT ON COLUMN etl.file_ledger.reason IS 'Why it was skipped; NULL: it was not.';
COMMENT ON COLUMN etl.file_ledger.run_id IS 'Run that read it last; NULL: etl.skip_file.';
COMMENT ON COLUMN etl.file_ledger.updated_at IS 'When the row last changed.';
