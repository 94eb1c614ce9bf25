/*
 * value.h
 *		Values of cursor and key columns as text that no setting changes, and as literals in generated SQL.
 */
#ifndef ETL_VALUE_H
#define ETL_VALUE_H

/* Pins time zone (UTC), date style and the like; in a GUC nest level of the caller's. */
extern void etl_value_pin_settings(void);

/* Name of a type for casts in generated SQL: qualified, without length. */
extern char *etl_value_type(Oid type);

/* 'text'::type */
extern char *etl_value_literal(Oid type, const char *text);

/* Whether a value may become a watermark: not infinity, not NaN. */
extern bool etl_value_is_finite(Oid type, Datum value);

#endif /* ETL_VALUE_H */
