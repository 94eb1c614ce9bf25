/*
 * url.h
 *		Pieces of addresses.
 */
#ifndef ETL_URL_H
#define ETL_URL_H

/* A text as it stands in an address: all but A-Z a-z 0-9 - . _ ~ as %XX, and "/" too unless it is kept. */
extern char *etl_url_encode(const char *text, bool keep_slash);

#endif /* ETL_URL_H */
