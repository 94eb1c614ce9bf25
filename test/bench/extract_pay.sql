-- The same table in MariaDB: @rows rows.
CREATE DATABASE bench;
USE bench;
CREATE TABLE `lines` (
  line_id    bigint PRIMARY KEY,
  order_id   bigint NOT NULL,
  product    int NOT NULL,
  amount     decimal(12, 2) NOT NULL,
  status     varchar(20) NOT NULL,
  note       text,
  created_at datetime NOT NULL,
  updated_at datetime NOT NULL
);
INSERT INTO `lines` SELECT seq, seq DIV 3, seq MOD 5000, (seq MOD 100000) / 100,
  ELT(seq MOD 4 + 1, 'new', 'paid', 'sent', 'closed'), IF(seq MOD 3 = 0, CONCAT('note ', MD5(seq)), NULL),
  '2026-01-01' + INTERVAL seq SECOND, '2026-01-02' + INTERVAL seq SECOND FROM seq_1_to_1000000;
CREATE INDEX lines_updated ON `lines` (updated_at);
ANALYZE TABLE `lines`;
CREATE USER bench@'%' IDENTIFIED BY 'bench';
GRANT ALL ON bench.* TO bench@'%';
