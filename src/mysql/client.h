/*
 * client.h
 *		libmariadb's header beside PostgreSQL's: both declare functions on lists of the same names. Those of libmariadb
 *		are not exported, so that only the declarations get in each other's way.
 */
#ifndef ETL_MYSQL_CLIENT_H
#define ETL_MYSQL_CLIENT_H

#define list_delete etl_mariadb_list_delete
#define list_free etl_mariadb_list_free
#define list_length etl_mariadb_list_length

#include <mysql.h>

#undef list_delete
#undef list_free
#undef list_length

#endif /* ETL_MYSQL_CLIENT_H */
