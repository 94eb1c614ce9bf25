/* price.h: the table etl.price. */
#ifndef ETL_PRICE_H
#define ETL_PRICE_H

#include "catalog/spi.h"
#include "utils/date.h"
#include "utils/numeric.h"

/* The currency of the prices; NULL: there are none. */
extern char *etl_price_currency(void);

/* Stores what a resource costs from a day on, in place of what was said of that day before. */
extern void etl_price_set(const char *resource, DateADT valid_from, Numeric price, const char *currency);

/* Removes a price; false: there was none. */
extern bool etl_price_delete(const char *resource, DateADT valid_from);

#endif /* ETL_PRICE_H */
