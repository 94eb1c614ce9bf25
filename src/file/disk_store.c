/*
 * disk_store.c
 *		Files on a disk of this server: the store of etl_file. See store.h.
 *
 * Nothing above root is ever opened: names with "..", and links that lead out of it, are left out of the list.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "errors.h"
#include "file/glob.h"
#include "file/store.h"
#include "miscadmin.h"
#include "net/endpoint.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

typedef struct DiskStore
{
	EtlStore base;
	char *root; /* without links */
	int fd;		/* -1: no file is open */
	const EtlFile *file;
	int64 left; /* bytes of it that are still to come */
} DiskStore;

/* A list while it grows. */
typedef struct Found
{
	DiskStore *store;
	EtlFileList *list;
	int room;
} Found;

/* disk_make resolves root. */
static EtlStore *
disk_make(const EtlFeedRequest *request, const EtlFileOptions *options)
{
	DiskStore *disk = palloc0(sizeof(DiskStore));
	const char *root = etl_endpoint_option(options->server, "root");
	char resolved[PATH_MAX];

	disk->fd = -1;
	if (realpath(root, resolved) == NULL)
		ereport(ERROR, (errcode_for_file_access(), errmsg("directory \"%s\" cannot be opened: %m", root),
						errhint("Check root of the server, and what the user that PostgreSQL runs as may read.")));
	disk->root = pstrdup(strcmp(resolved, "/") == 0 ? "" : resolved);
	return &disk->base;
}

/* full_path returns a path from / on. */
static char *
full_path(const DiskStore *disk, const char *path)
{
	return psprintf("%s/%s", disk->root, path);
}

/* is_below says whether a path, followed through all links, lies below root. */
static bool
is_below(const DiskStore *disk, const char *full)
{
	char resolved[PATH_MAX];
	size_t length = strlen(disk->root);

	return realpath(full, resolved) != NULL && strncmp(resolved, disk->root, length) == 0 && resolved[length] == '/';
}

/* version_of returns the time of the last change in ns. */
static char *
version_of(const struct stat *st)
{
	return psprintf(INT64_FORMAT, (int64) st->st_mtim.tv_sec * INT64CONST(1000000000) + st->st_mtim.tv_nsec);
}

/* add_file adds a file, if pattern wants it. */
static void
add_file(Found *found, const char *path, const struct stat *st)
{
	const EtlFileOptions *options = found->store->base.options;
	size_t length = strlen(options->prefix);
	EtlFileList *list = found->list;
	EtlFile *file;

	if (strncmp(path, options->prefix, length) != 0 ||
		(options->pattern && !etl_glob_matches(options->pattern, path + length)))
		return;
	if (list->n == found->room)
	{
		found->room = Max(found->room * 2, 256);
		list->file = list->file ? repalloc_huge(list->file, sizeof(EtlFile) * found->room)
								: palloc(sizeof(EtlFile) * found->room);
	}
	file = &list->file[list->n++];
	file->path = pstrdup(path);
	file->size = st->st_size;
	file->etag = version_of(st);
	file->modified = time_t_to_timestamptz((pg_time_t) st->st_mtim.tv_sec);
}

/* may_hold says whether a directory can have files in it that begin with prefix. */
static bool
may_hold(const EtlFileOptions *options, const char *path)
{
	char *inside = psprintf("%s/", path);
	size_t length = Min(strlen(inside), strlen(options->prefix));

	return strncmp(inside, options->prefix, length) == 0;
}

static void add_directory(Found *found, const char *path);

/* add_entry adds what a name in a directory stands for; what has gone meanwhile is left out. */
static void
add_entry(Found *found, const char *path)
{
	char *full = full_path(found->store, path);
	struct stat st;

	if (lstat(full, &st) < 0)
		return;
	if (S_ISLNK(st.st_mode) && (!is_below(found->store, full) || stat(full, &st) < 0 || S_ISDIR(st.st_mode)))
		return;
	if (S_ISREG(st.st_mode))
		add_file(found, path, &st);
	else if (S_ISDIR(st.st_mode) && may_hold(found->store->base.options, path))
		add_directory(found, path);
	pfree(full);
}

/* add_directory goes through a directory; path is empty for root. Links to directories are not followed. */
static void
add_directory(Found *found, const char *path)
{
	char *full = full_path(found->store, path);
	DIR *dir = AllocateDir(full);
	struct dirent *entry;

	check_stack_depth();
	while ((entry = ReadDir(dir, full)) != NULL)
	{
		char *name;

		CHECK_FOR_INTERRUPTS();
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		name = path[0] ? psprintf("%s/%s", path, entry->d_name) : pstrdup(entry->d_name);
		add_entry(found, name);
		pfree(name);
	}
	FreeDir(dir);
	pfree(full);
}

/* compare_files orders by path, byte by byte. */
static int
compare_files(const void *a, const void *b)
{
	return strcmp(((const EtlFile *) a)->path, ((const EtlFile *) b)->path);
}

/* disk_list has one part. */
static bool
disk_list(EtlStore *store, EtlFileList *list)
{
	Found found = {(DiskStore *) store, list, 0};

	list->n = 0;
	list->file = NULL;
	add_directory(&found, "");
	if (list->n > 1)
		qsort(list->file, list->n, sizeof(EtlFile), compare_files);
	return false;
}

/* refuse_changed reports a file that is not the one that was listed. */
static void
pg_attribute_noreturn() refuse_changed(const EtlFile *file, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_ETL_SHORT_READ), errmsg("file \"%s\" has changed since it was listed", file->path),
			 errdetail("%s", detail),
			 errhint("Write files under another name and rename them when they are complete. The next attempt lists"
					 " them again.")));
}

/* disk_open_file opens the version that was listed. */
static void
disk_open_file(EtlStore *store, const EtlFile *file)
{
	DiskStore *disk = (DiskStore *) store;
	char *full = full_path(disk, file->path);
	struct stat st;

	if (!is_below(disk, full))
		refuse_changed(file, "It has gone, or leads out of root.");
	if (!AcquireExternalFD())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("too many files are open"),
						errhint("Raise max_files_per_process.")));
	disk->fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | PG_BINARY);
	if (disk->fd < 0)
	{
		ReleaseExternalFD();
		ereport(ERROR, (errcode_for_file_access(), errmsg("file \"%s\" cannot be opened: %m", file->path)));
	}
	if (fstat(disk->fd, &st) < 0 || !S_ISREG(st.st_mode))
		refuse_changed(file, "It is no plain file any more.");
	if (st.st_size != file->size || strcmp(version_of(&st), file->etag) != 0)
		refuse_changed(file, psprintf("It had " INT64_FORMAT " bytes, and has " INT64_FORMAT " now.", file->size,
									  (int64) st.st_size));
	(void) posix_fadvise(disk->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	disk->file = file;
	disk->left = file->size;
	pfree(full);
}

/* disk_read reads, and at the end makes sure that nothing has been added. */
static size_t
disk_read(EtlStore *store, char *buffer, size_t size)
{
	DiskStore *disk = (DiskStore *) store;
	ssize_t n;
	char more;

	CHECK_FOR_INTERRUPTS();
	n = disk->left > 0 ? read(disk->fd, buffer, Min((int64) size, disk->left)) : read(disk->fd, &more, 1);
	if (n < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("file \"%s\" cannot be read: %m", disk->file->path)));
	if (disk->left > 0 && n == 0)
		refuse_changed(disk->file, "It is shorter than it was.");
	if (disk->left == 0 && n > 0)
		refuse_changed(disk->file, "It is longer than it was.");
	disk->left -= n;
	return n;
}

/* disk_close_file closes. */
static void
disk_close_file(EtlStore *store)
{
	DiskStore *disk = (DiskStore *) store;

	if (disk->fd < 0)
		return;
	(void) close(disk->fd);
	disk->fd = -1;
	ReleaseExternalFD();
}

/* disk_describe names the directory. */
static char *
disk_describe(const EtlStore *store)
{
	return psprintf("files %s/%s%s", ((const DiskStore *) store)->root, store->options->prefix,
					store->options->pattern ? store->options->pattern : "**");
}

const EtlStoreRoutine etl_disk_store = {
	.make = disk_make,
	.list = disk_list,
	.open_file = disk_open_file,
	.read = disk_read,
	.close_file = disk_close_file,
	.close = disk_close_file,
	.describe = disk_describe,
};
