/*
 * condition.h
 *		SQL conditions that the author of an extract wrote: filter, deletes => 'column:...', delete_scope.
 */
#ifndef ETL_CONDITION_H
#define ETL_CONDITION_H

/*
 * Refuses text that is not one boolean expression over the rows of from, an item of a FROM clause. setting: its name;
 * Returns whether it has subqueries. example: how to write it; hint: which columns it may use, or NULL. Errors: 42601, and those of the analysis. With the author's search_path.
 */
extern bool etl_condition_check(const char *setting, const char *condition, const char *example, const char *from,
								const char *hint);

#endif /* ETL_CONDITION_H */
