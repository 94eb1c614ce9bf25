/*
 * hash.c
 *		Hashes. See hash.h.
 */
#include "postgres.h"

#include "common/hmac.h"
#include "s3/hash.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* enter makes the process's own resource owner current; returns the one before. */
static ResourceOwner
enter(void)
{
	static ResourceOwner own = NULL;
	ResourceOwner before = CurrentResourceOwner;

	if (own == NULL)
	{
		CurrentResourceOwner = NULL;
		own = ResourceOwnerCreate(NULL, "etl hashes");
	}
	CurrentResourceOwner = own;
	return before;
}

/* leave goes back. */
static void
leave(ResourceOwner before)
{
	CurrentResourceOwner = before;
}

/* fail raises the error of a hash that could not be computed. */
static void
fail(const char *what, ResourceOwner before)
{
	leave(before);
	elog(ERROR, "could not compute %s", what);
}

/* etl_hash_hex prints. */
char *
etl_hash_hex(const uint8 *digest, int length)
{
	static const char digits[] = "0123456789abcdef";
	char *text = palloc(length * 2 + 1);

	for (int i = 0; i < length; i++)
	{
		text[i * 2] = digits[digest[i] >> 4];
		text[i * 2 + 1] = digits[digest[i] & 15];
	}
	text[length * 2] = '\0';
	return text;
}

/* etl_hash_sha256 hashes at once. */
void
etl_hash_sha256(const char *bytes, size_t length, uint8 *digest)
{
	ResourceOwner before = enter();
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) bytes, length) < 0 ||
		pg_cryptohash_final(context, digest, ETL_SHA256_LENGTH) < 0)
		fail("SHA-256", before);
	pg_cryptohash_free(context);
	leave(before);
}

/* etl_hash_hmac signs a text. */
void
etl_hash_hmac(const uint8 *key, size_t key_length, const char *bytes, uint8 *digest)
{
	ResourceOwner before = enter();
	pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);

	if (context == NULL || pg_hmac_init(context, key, key_length) < 0 ||
		pg_hmac_update(context, (const uint8 *) bytes, strlen(bytes)) < 0 ||
		pg_hmac_final(context, digest, ETL_SHA256_LENGTH) < 0)
		fail("HMAC-SHA-256", before);
	pg_hmac_free(context);
	leave(before);
}

/* etl_hash_md5_begin begins; the context lives until it is freed. */
pg_cryptohash_ctx *
etl_hash_md5_begin(void)
{
	ResourceOwner before = enter();
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_MD5);

	if (context && pg_cryptohash_init(context) < 0)
	{
		pg_cryptohash_free(context);
		context = NULL;
	}
	MemoryContextSwitchTo(old);
	leave(before);
	return context;
}

/* etl_hash_md5_add adds bytes. */
void
etl_hash_md5_add(pg_cryptohash_ctx *context, const char *bytes, size_t length)
{
	if (context && pg_cryptohash_update(context, (const uint8 *) bytes, length) < 0)
		elog(ERROR, "could not compute MD5");
}

/* etl_hash_md5_end returns the digest as text; NULL: there is none. */
char *
etl_hash_md5_end(pg_cryptohash_ctx *context)
{
	uint8 digest[ETL_MD5_LENGTH];

	if (context == NULL)
		return NULL;
	if (pg_cryptohash_final(context, digest, ETL_MD5_LENGTH) < 0)
		elog(ERROR, "could not compute MD5");
	return etl_hash_hex(digest, ETL_MD5_LENGTH);
}

/* etl_hash_md5_free frees. */
void
etl_hash_md5_free(pg_cryptohash_ctx *context)
{
	ResourceOwner before;

	if (context == NULL)
		return;
	before = enter();
	pg_cryptohash_free(context);
	leave(before);
}
