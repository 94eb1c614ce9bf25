-- Extracts from APIs: where they stand, and how fast they may ask.

CREATE TABLE etl.http_progress (
  task_id       bigint PRIMARY KEY REFERENCES etl.task ON DELETE CASCADE,
  version       bigint NOT NULL,
  run_id        bigint NOT NULL,
  full_refresh  boolean NOT NULL,
  unfinished    boolean NOT NULL,
  request       text NOT NULL,
  parent        text,
  page_number   bigint NOT NULL,
  page_cursor   text,
  record        bigint NOT NULL,
  page_hash     text,
  received      bigint NOT NULL,
  pages         integer NOT NULL,
  highest       text,
  etag          text,
  last_modified text,
  updated_at    timestamptz NOT NULL
);
COMMENT ON TABLE etl.http_progress IS 'Where an extract from an API stands: the page that a later attempt begins with, or what the last complete read was answered.';
COMMENT ON COLUMN etl.http_progress.task_id IS 'The extract.';
COMMENT ON COLUMN etl.http_progress.version IS 'Moves with every commit; whoever does not know it may not commit.';
COMMENT ON COLUMN etl.http_progress.run_id IS 'Run that moved it last.';
COMMENT ON COLUMN etl.http_progress.full_refresh IS 'true: the read began in a run with full_refresh and is continued only in that run.';
COMMENT ON COLUMN etl.http_progress.unfinished IS 'true: the next attempt continues at the page that follows here; false: the last read was complete.';
COMMENT ON COLUMN etl.http_progress.request IS 'Hash of the question: options of table and server, and the bounds. Another question begins anew.';
COMMENT ON COLUMN etl.http_progress.parent IS 'Values of the row of for_each that is being read; NULL: none.';
COMMENT ON COLUMN etl.http_progress.page_number IS 'Number of the page, or records before it.';
COMMENT ON COLUMN etl.http_progress.page_cursor IS 'Cursor or address of the page; NULL: it goes by number, or is the first one.';
COMMENT ON COLUMN etl.http_progress.record IS 'Records of the page that are committed already.';
COMMENT ON COLUMN etl.http_progress.page_hash IS 'Hash of the records of the page, by which it is recognised; NULL: none is committed.';
COMMENT ON COLUMN etl.http_progress.received IS 'Records of the pages before it, for this parent.';
COMMENT ON COLUMN etl.http_progress.pages IS 'Pages that are committed.';
COMMENT ON COLUMN etl.http_progress.highest IS 'Highest cursor value of the records so far.';
COMMENT ON COLUMN etl.http_progress.etag IS 'ETag of the last complete read, if that took one page; the next one asks whether it has changed.';
COMMENT ON COLUMN etl.http_progress.last_modified IS 'The same for Last-Modified.';
COMMENT ON COLUMN etl.http_progress.updated_at IS 'When the row last changed.';

-- Nothing of it has to survive a crash: the times in it are over soon.
CREATE UNLOGGED TABLE etl.rate_limit (
  server_id oid PRIMARY KEY,
  next_at   timestamptz NOT NULL
);
COMMENT ON TABLE etl.rate_limit IS 'When the next request to a server of etl_http with rate_limit may be sent, over all workers.';
COMMENT ON COLUMN etl.rate_limit.server_id IS 'The foreign server, in pg_foreign_server.';
COMMENT ON COLUMN etl.rate_limit.next_at IS 'No request is sent before, but those whose time was reserved.';
