/*
 * condition_text.h
 *		Makes sure that what an author wrote is one expression, or one query, and nothing that would close the parentheses
 *		in which it is executed.
 */
#ifndef ETL_CONDITION_TEXT_H
#define ETL_CONDITION_TEXT_H

/* A condition on the rows of target; option is its name. Errors: those of parsing and analyzing SQL. */
extern void etl_condition_text_check(const char *text, const char *option, const char *target);

/* An aggregate over the rows of target that is a number. Errors: the same, 42804. */
extern void etl_condition_text_check_value(const char *text, const char *target);

/* A SELECT. Errors: the same, 42601. */
extern void etl_condition_text_check_query(const char *text);

#endif /* ETL_CONDITION_TEXT_H */
