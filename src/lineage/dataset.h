/*
 * dataset.h
 *		How relations are called outside of this database, by the naming rules of OpenLineage: a namespace and a name.
 *
 *		postgres_fdw	postgres://host:port	database.schema.table
 *		mysql_fdw		mysql://host:port		database.table
 *		etl_http		https://host.example	/path
 *		etl_s3			s3://bucket				prefix
 *		etl_file		file					/directory/prefix
 *		etl_kafka		kafka://broker:port		topic
 *		tables here		as given				database.schema.table
 *
 * Names are made from options of servers and tables, which everybody may see; never from user mappings, and without the part
 * of an address in which users and parameters stand.
 */
#ifndef ETL_DATASET_H
#define ETL_DATASET_H

#include "postgres_ext.h"

typedef struct EtlDataset
{
	char *namespace;
	char *name;
} EtlDataset;

/* The source behind a foreign table; false: the relation is none, or does not exist. */
extern bool etl_dataset_of_source(Oid relation, EtlDataset *dataset);

/* What a qualified, quoted name stands for. local: namespace of the tables of this database. */
extern void etl_dataset_of_name(const char *name, const char *local, EtlDataset *dataset);

/* The namespace that tables of this database have where nobody chose one: postgres://host:port. */
extern char *etl_dataset_local(void);

/* Namespace and name in one: s3://bucket/prefix. */
extern char *etl_dataset_uri(const EtlDataset *dataset);

#endif /* ETL_DATASET_H */
