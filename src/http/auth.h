/*
 * auth.h
 *		What proves to an API who asks: added to a request just before it is sent. Tokens of OAuth2 are kept by the process
 *		until shortly before they expire.
 */
#ifndef ETL_HTTP_AUTH_H
#define ETL_HTTP_AUTH_H

#include "http/failure.h"
#include "http/table.h"
#include "net/transfer.h"

/* Adds what the table's server wants, in the current memory context. token: of OAuth2. The header has room for two more. */
extern void etl_http_auth_add(const EtlHttpTable *table, const char *token, EtlTransferRequest *request);

/* A token that is still good, or NULL; in the current memory context. */
extern char *etl_http_auth_token(const EtlHttpTable *table);

/* The request for a new one, and what to do with the answer; NULL: the token is kept. */
extern void etl_http_auth_ask(const EtlHttpTable *table, EtlTransferRequest *request);
extern EtlHttpFailure *etl_http_auth_keep(const EtlHttpTable *table, const EtlTransferResult *result);

/* The API has refused the token. */
extern void etl_http_auth_forget(const EtlHttpTable *table);

#endif /* ETL_HTTP_AUTH_H */
