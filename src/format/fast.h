/*
 * fast.h
 *		Whole numbers and times in their plain form become values without the input function of their type, which takes most of
 *		the time of a read. Pure.
 */
#ifndef ETL_FAST_H
#define ETL_FAST_H

/* Whether texts of a type have a plain form. */
extern bool etl_fast_has(Oid type);

/*
 * The value of a text in the plain form: digits with or without a sign; 2024-01-15; that with 10:00:00, 10:00:00.123456 and, for a
 * timestamptz, an offset such as +02, -03:30 or Z behind it. It is the one that the input function gives, whatever DateStyle and
 * TimeZone are. False: the text has another form, or none at all; the input function knows.
 */
extern bool etl_fast_value(Oid type, const char *text, Datum *value);

#endif /* ETL_FAST_H */
