/*
 * hash.h
 *		Hashes by PostgreSQL's own implementation, also where no transaction is open: it wants a resource owner, and gets one of
 *		the process.
 */
#ifndef ETL_HASH_H
#define ETL_HASH_H

#include "common/cryptohash.h"

#define ETL_SHA256_LENGTH 32
#define ETL_MD5_LENGTH 16

/* A digest as hexadecimal text, in the current memory context. */
extern char *etl_hash_hex(const uint8 *digest, int length);

/* SHA-256 of some bytes. */
extern void etl_hash_sha256(const char *bytes, size_t length, uint8 *digest);

/* HMAC-SHA-256. */
extern void etl_hash_hmac(const uint8 *key, size_t key_length, const char *bytes, uint8 *digest);

/* MD5 of a stream; NULL: this server has none (FIPS). Freed by etl_hash_md5_free, which takes NULL. */
extern pg_cryptohash_ctx *etl_hash_md5_begin(void);
extern void etl_hash_md5_add(pg_cryptohash_ctx *context, const char *bytes, size_t length);
extern char *etl_hash_md5_end(pg_cryptohash_ctx *context);
extern void etl_hash_md5_free(pg_cryptohash_ctx *context);

#endif /* ETL_HASH_H */
