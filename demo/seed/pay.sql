-- The payment service's database: one payment per order. @rows and @password are set by the caller.
SET time_zone = '+00:00';
SET @seeded_at = UTC_TIMESTAMP(6);
CREATE DATABASE pay;
USE pay;

CREATE TABLE payments (
  payment_id bigint PRIMARY KEY,
  order_id   bigint NOT NULL,
  amount     decimal(12,2) NOT NULL,
  method     varchar(16) NOT NULL,
  status     varchar(16) NOT NULL,
  created_at timestamp(6) NOT NULL DEFAULT current_timestamp(6),
  updated_at timestamp(6) NOT NULL DEFAULT current_timestamp(6)
);

INSERT INTO payments
SELECT seq, seq, (seq * 7919 % 49500 + 500) / 100, ELT(1 + seq * 31 % 4, 'card', 'card', 'transfer', 'wallet'),
       IF(seq * 17 % 20 = 0, 'refunded', 'captured'),
       @seeded_at - INTERVAL (5184000 * (1 - seq / (@rows + 1))) SECOND,
       @seeded_at - INTERVAL (5184000 * (1 - seq / (@rows + 1)) * (seq * 104729 % 1000) / 1000) SECOND
FROM seq_1_to_100000000
WHERE seq <= @rows;

CREATE INDEX payments_updated_at ON payments (updated_at, payment_id);

EXECUTE IMMEDIATE CONCAT('CREATE USER etl IDENTIFIED BY ', QUOTE(@password));
GRANT SELECT ON pay.* TO etl;
