/*
 * store.h
 *		Where files are: on a disk of this server, or in a bucket of S3. One list after the other, then the bytes of one file.
 *
 * make is called in a transaction, everything else where none is open. close_file and close raise nothing.
 */
#ifndef ETL_STORE_H
#define ETL_STORE_H

#include "feed/feed.h"
#include "file/options.h"

typedef struct EtlFile
{
	char *path;
	char *etag;
	int64 size;
	TimestampTz modified; /* DT_NOBEGIN: not known */
} EtlFile;

typedef struct EtlFileList
{
	int n;
	EtlFile *file; /* in the order of their paths */
} EtlFileList;

typedef struct EtlStore EtlStore;

typedef struct EtlStoreRoutine
{
	EtlStore *(*make)(const EtlFeedRequest *request, const EtlFileOptions *options);

	/* The next part of the list of files that prefix and pattern name, in the current memory context; false: it was the last. */
	bool (*list)(EtlStore *store, EtlFileList *list);

	/* Opens a file as it was listed. Errors: ZE007 when it has changed since. */
	void (*open_file)(EtlStore *store, const EtlFile *file);

	/* The next bytes of it; 0: it is complete. Errors: 08006, ZE007 when it is shorter or longer, or other than listed. */
	size_t (*read)(EtlStore *store, char *buffer, size_t size);
	void (*close_file)(EtlStore *store);
	void (*close)(EtlStore *store);

	/* Where it is, in words, for explain. */
	char *(*describe)(const EtlStore *store);
} EtlStoreRoutine;

/* Stores embed this as their first member. */
struct EtlStore
{
	const EtlStoreRoutine *routine;
	const EtlFileOptions *options;
	MemoryContext context;
};

extern const EtlStoreRoutine etl_disk_store;
extern const EtlStoreRoutine etl_bucket_store;

#endif /* ETL_STORE_H */
