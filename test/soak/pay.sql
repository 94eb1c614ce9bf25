-- The source of the soak on the MariaDB server; it has one writer.
CREATE DATABASE pay;
CREATE TABLE pay.payments (id bigint PRIMARY KEY AUTO_INCREMENT, amount int NOT NULL, version bigint NOT NULL, KEY (version, id));
CREATE USER etl IDENTIFIED BY 'secret';
GRANT SELECT ON pay.* TO etl;
