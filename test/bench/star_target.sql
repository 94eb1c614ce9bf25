-- A fresh copy of the fact, cached as a table in use would be.
DROP TABLE IF EXISTS dw.:target;
CREATE TABLE dw.:target AS SELECT * FROM dw.base;
ALTER TABLE dw.:target ADD PRIMARY KEY (order_id);
CREATE INDEX ON dw.:target (created_at);
VACUUM ANALYZE dw.:target;
CHECKPOINT;
