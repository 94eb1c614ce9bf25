/*
 * xml.h
 *		The few elements that are read out of S3's answers, which hold no attributes and no mixed content where they matter.
 */
#ifndef ETL_XML_H
#define ETL_XML_H

#include "c.h"

/* The text of the first element of a name within [text, end), decoded, in the current memory context; NULL: there is none. */
extern char *etl_xml_text(const char *text, const char *end, const char *name);

/* The inside of the next element of a name from *at on; false: there is none. Moves *at behind it. */
extern bool etl_xml_next(const char **at, const char *end, const char *name, const char **begin, const char **stop);

#endif /* ETL_XML_H */
