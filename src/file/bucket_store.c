/*
 * bucket_store.c
 *		Objects in a bucket: the store of etl_s3. See store.h.
 *
 * A list comes in parts of 1000 objects, so that it needs no more memory when there are millions. Where an ETag is the MD5 of
 * an object, as it is of objects that were not uploaded in parts, the bytes are compared with it.
 */
#include "postgres.h"

#include "errors.h"
#include "file/glob.h"
#include "file/store.h"
#include "s3/hash.h"
#include "s3/s3.h"
#include "utils/memutils.h"

typedef struct BucketStore
{
	EtlStore base;
	EtlS3 *s3;
	char *token; /* of the next part of the list; NULL: from the start */
	EtlStream *stream;
	const EtlFile *file;
	int64 left;
	pg_cryptohash_ctx *md5; /* NULL: the ETag is none */
} BucketStore;

/* bucket_make reads the options of the server. */
static EtlStore *
bucket_make(const EtlFeedRequest *request, const EtlFileOptions *options)
{
	BucketStore *bucket = palloc0(sizeof(BucketStore));

	bucket->s3 = etl_s3_make(options->server, options->mapping);
	return &bucket->base;
}

/* is_wanted leaves out what stands for a directory, and what pattern does not want. */
static bool
is_wanted(const EtlFileOptions *options, const char *key)
{
	size_t length = strlen(key);
	size_t skipped = strlen(options->prefix);

	if (length == 0 || key[length - 1] == '/' || strncmp(key, options->prefix, skipped) != 0)
		return false;
	return options->pattern == NULL || etl_glob_matches(options->pattern, key + skipped);
}

/* bucket_list asks for the next part. */
static bool
bucket_list(EtlStore *store, EtlFileList *list)
{
	BucketStore *bucket = (BucketStore *) store;
	EtlS3List found;

	etl_s3_list(bucket->s3, store->options->prefix, bucket->token, &found);
	list->n = 0;
	list->file = palloc(sizeof(EtlFile) * Max(found.n, 1));
	for (int i = 0; i < found.n; i++)
	{
		const EtlS3Object *object = &found.object[i];

		if (is_wanted(store->options, object->key))
			list->file[list->n++] = (EtlFile){object->key, object->etag, object->size, object->modified};
	}
	if (bucket->token)
		pfree(bucket->token);
	bucket->token = found.next ? MemoryContextStrdup(store->context, found.next) : NULL;
	return bucket->token != NULL;
}

/* bucket_open_file asks for an object. */
static void
bucket_open_file(EtlStore *store, const EtlFile *file)
{
	BucketStore *bucket = (BucketStore *) store;
	EtlS3Object object = {file->path, file->etag, file->size, file->modified};
	bool is_md5;

	bucket->stream = etl_s3_open(bucket->s3, &object, &is_md5);
	bucket->file = file;
	bucket->left = file->size;
	bucket->md5 = is_md5 ? etl_hash_md5_begin() : NULL;
}

/* check_end compares an object that is complete with what was listed. */
static void
check_end(const BucketStore *bucket)
{
	char *md5 = etl_hash_md5_end(bucket->md5);

	if (bucket->left != 0)
		ereport(ERROR,
				(errcode(ERRCODE_ETL_SHORT_READ),
				 errmsg("object \"%s\" is shorter than it was listed", bucket->file->path),
				 errdetail(INT64_FORMAT " of " INT64_FORMAT " bytes are missing.", bucket->left, bucket->file->size)));
	if (md5 && strcmp(md5, bucket->file->etag) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_ETL_MISMATCH),
				 errmsg("the bytes of object \"%s\" are not those that were stored", bucket->file->path),
				 errdetail("Their MD5 is %s, the ETag %s.", md5, bucket->file->etag),
				 errhint("Look for what changes them on the way, and upload the object again if it is damaged.")));
}

/* bucket_read reads what has arrived. */
static size_t
bucket_read(EtlStore *store, char *buffer, size_t size)
{
	BucketStore *bucket = (BucketStore *) store;
	size_t n = etl_stream_read(bucket->stream, buffer, size);

	etl_hash_md5_add(bucket->md5, buffer, n);
	bucket->left -= n;
	if (bucket->left < 0)
		ereport(ERROR, (errcode(ERRCODE_ETL_SHORT_READ),
						errmsg("object \"%s\" is longer than it was listed", bucket->file->path)));
	if (n == 0)
		check_end(bucket);
	return n;
}

/* bucket_close_file breaks off. */
static void
bucket_close_file(EtlStore *store)
{
	BucketStore *bucket = (BucketStore *) store;
	EtlStream *stream = bucket->stream;
	pg_cryptohash_ctx *md5 = bucket->md5;

	bucket->stream = NULL;
	bucket->md5 = NULL;
	etl_stream_close(stream);
	etl_hash_md5_free(md5);
}

/* bucket_describe names the bucket. */
static char *
bucket_describe(const EtlStore *store)
{
	const EtlS3 *s3 = ((const BucketStore *) store)->s3;

	return psprintf("objects s3://%s/%s%s at %s://%s", s3->bucket, store->options->prefix,
					store->options->pattern ? store->options->pattern : "**", s3->scheme, s3->host);
}

const EtlStoreRoutine etl_bucket_store = {
	.make = bucket_make,
	.list = bucket_list,
	.open_file = bucket_open_file,
	.read = bucket_read,
	.close_file = bucket_close_file,
	.close = bucket_close_file,
	.describe = bucket_describe,
};
