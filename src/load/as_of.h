/*
 * as_of.h
 *		Setting etl.as_of: the moment at which as-of views show dimensions.
 */
#ifndef ETL_AS_OF_H
#define ETL_AS_OF_H

/* Defines the setting; called once, when the library is loaded. */
extern void etl_as_of_init(void);

#endif /* ETL_AS_OF_H */
