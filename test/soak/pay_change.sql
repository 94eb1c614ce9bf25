SET autocommit = 0;
SET @version = (SELECT coalesce(max(version), 0) FROM pay.payments);
INSERT INTO pay.payments (amount, version) SELECT seq, @version := @version + 1 FROM pay.seq_1_to_20;
UPDATE pay.payments SET amount = amount + 1, version = (@version := @version + 1) ORDER BY rand() LIMIT 20;
COMMIT;
