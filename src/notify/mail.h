/* mail.h: an alert as a message for a mail server, headers and text. */
#ifndef ETL_MAIL_H
#define ETL_MAIL_H

#include "catalog/alert.h"

typedef struct EtlMail
{
	const char *from;
	EtlNames to;
	const char *prefix;		/* of the subject; NULL: none */
	const char *message_id; /* without < and >; the same for each try */
	const EtlAlert *alert;
} EtlMail;

/* The message, in US-ASCII with CRLF: text/plain, UTF-8, base64. Inside a transaction. */
extern char *etl_mail_compose(const EtlMail *mail);

#endif /* ETL_MAIL_H */
