-- A fresh copy of the fact with its primary key, cached as a table in use would be.
CREATE TABLE dw.:target AS SELECT * FROM dw.base;
ALTER TABLE dw.:target ADD PRIMARY KEY (order_id);
VACUUM ANALYZE dw.:target;
CHECKPOINT;
