/*
 * drift_type.h
 *		Types of source columns by name: how a new one relates to the old one, and which type takes its values here. No I/O.
 */
#ifndef ETL_DRIFT_TYPE_H
#define ETL_DRIFT_TYPE_H

typedef enum EtlTypeChange
{
	ETL_TYPE_SAME,
	ETL_TYPE_WIDENED,  /* every value of the old type is one of the new type */
	ETL_TYPE_NARROWED, /* the other way round */
	ETL_TYPE_CHANGED   /* neither */
} EtlTypeChange;

/* Compares two names as format_type and MySQL's information_schema.columns.column_type write them. */
extern EtlTypeChange etl_drift_type_compare(const char *old_type, const char *new_type);

/* Whether ALTER COLUMN TYPE from one to the other, which is wider, leaves the rows of a table as they are. */
extern bool etl_drift_type_in_place(const char *old_type, const char *new_type);

/* The type of this server that takes the values of a column of MySQL. */
extern char *etl_drift_type_from_mysql(const char *type);

#endif /* ETL_DRIFT_TYPE_H */
