-- Foreign tables for both, and what the plain INSERT writes to.
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION mysql_fdw;
CREATE SERVER shop FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host '127.0.0.1', port :'shop_port', dbname 'shop', fetch_size '10000');
CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (user 'bench', password :'password');
CREATE SERVER pay FOREIGN DATA WRAPPER mysql_fdw
  OPTIONS (host '127.0.0.1', port :'pay_port', fetch_size '10000', init_command 'SET time_zone = ''+00:00''');
CREATE USER MAPPING FOR PUBLIC SERVER pay OPTIONS (username 'bench', password 'bench');
CREATE SCHEMA shop;
CREATE SCHEMA pay;
IMPORT FOREIGN SCHEMA public FROM SERVER shop INTO shop;
IMPORT FOREIGN SCHEMA bench FROM SERVER pay INTO pay;
CREATE TABLE plain_shop AS SELECT * FROM shop.lines WITH NO DATA;
CREATE TABLE plain_pay AS SELECT * FROM pay.lines WITH NO DATA;
