/*
 * disk_store.c
 *		Files on a disk of this server: the store of etl_file. See store.h.
 *
 * Nothing above root is ever opened: names with "..", and links that lead out of it, are left out of the list. The list comes in
 * parts, directory by directory in the order of their paths, so that of a tree of any size only the names in the directories
 * on the way to the current one are held.
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
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/endpoint.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Files in a part of the list. */
#define PART 1000

/* Deepest directory below root. */
#define MOST_LEVELS 64

/* Names are allocated in blocks of this size. */
#define BLOCK 65536

/* A directory on the way to the current one. */
typedef struct Level
{
	MemoryContext context; /* of all that follows */
	char *path;			   /* below root, with a "/" at the end; of root itself empty */
	int n;
	int room;
	char **name; /* of what may be wanted, in order; those of directories end with "/" */
	int next;
	char *block; /* for names */
	size_t left; /* in it */
} Level;

typedef struct DiskStore
{
	EtlStore base;
	char *root; /* without links */
	bool is_walking;
	int depth;
	Level level[MOST_LEVELS];
	int fd; /* -1: no file is open */
	const EtlFile *file;
	int64 left; /* bytes of it that are still to come */
} DiskStore;

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
is_below(const DiskStore *disk, const char *full, char *resolved)
{
	size_t length = strlen(disk->root);

	return realpath(full, resolved) != NULL && strncmp(resolved, disk->root, length) == 0 && resolved[length] == '/';
}

/* version_of returns the time of the last change in ns. */
static char *
version_of(const struct stat *st)
{
	return psprintf(INT64_FORMAT, (int64) st->st_mtim.tv_sec * INT64CONST(1000000000) + st->st_mtim.tv_nsec);
}

/* refuse_name reports a name that is no text of this database. */
static void
pg_attribute_noreturn() refuse_name(const char *path)
{
	StringInfoData shown;

	initStringInfo(&shown);
	for (const unsigned char *c = (const unsigned char *) path; *c; c++)
		appendStringInfo(&shown, *c < 0x80 ? "%c" : "\\x%02x", *c);
	ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
					errmsg("the name of file \"%s\" is no text in encoding %s", shown.data, GetDatabaseEncodingName()),
					errdetail("It could not be kept in etl.file_ledger."),
					errhint("Rename the file, or leave it out by prefix or pattern of the foreign table.")));
}

/* is_wanted says whether prefix and pattern name a path. */
static bool
is_wanted(const EtlFileOptions *options, const char *path)
{
	size_t length = strlen(options->prefix);

	if (strncmp(path, options->prefix, length) != 0 ||
		(options->pattern && !etl_glob_matches(options->pattern, path + length)))
		return false;
	if (!pg_verifymbstr(path, strlen(path), true))
		refuse_name(path);
	return true;
}

/* may_hold says whether a directory, whose path ends with "/", can have files in it that begin with prefix. */
static bool
may_hold(const EtlFileOptions *options, const char *path)
{
	size_t length = Min(strlen(path), strlen(options->prefix));

	return strncmp(path, options->prefix, length) == 0;
}

/* keep_name copies a name into the blocks of a level. */
static char *
keep_name(Level *level, const char *name)
{
	size_t size = strlen(name) + 1;

	if (level->left < size)
	{
		level->left = Max(size, BLOCK);
		level->block = MemoryContextAlloc(level->context, level->left);
	}
	memcpy(level->block, name, size);
	level->block += size;
	level->left -= size;
	return level->block - size;
}

/* add_name adds what a name in a directory stands for, if it may be wanted. Links to directories are not followed. */
static void
add_name(const DiskStore *disk, Level *level, const char *name)
{
	char *path = psprintf("%s%s", level->path, name);
	char *full = full_path(disk, path);
	char *inside = psprintf("%s/", path);
	struct stat st;
	bool is_there = lstat(full, &st) == 0;

	if (is_there && S_ISDIR(st.st_mode)
			? may_hold(disk->base.options, inside)
			: is_there && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) && is_wanted(disk->base.options, path))
	{
		if (level->n == level->room)
			level->name = repalloc_huge(level->name, sizeof(char *) * (level->room *= 2));
		level->name[level->n++] = keep_name(level, S_ISDIR(st.st_mode) ? inside + strlen(level->path)
																	   : path + strlen(level->path));
	}
	pfree(inside);
	pfree(full);
	pfree(path);
}

/* compare_names orders byte by byte. */
static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* enter reads the names in a directory. One below root that has gone meanwhile is empty. */
static void
enter(DiskStore *disk, const char *path)
{
	Level *level = &disk->level[disk->depth];
	char *full = full_path(disk, path);
	DIR *dir;
	struct dirent *entry;

	if (disk->depth == MOST_LEVELS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("directory \"%s\" is too deep", path),
						errdetail("It is more than %d levels below root.", MOST_LEVELS - 1),
						errhint("Leave it out by the option prefix, or make a server with another root.")));
	dir = AllocateDir(full);
	if (dir == NULL && errno == ENOENT && path[0] != '\0')
		return;
	memset(level, 0, sizeof(*level));
	level->context = AllocSetContextCreate(disk->base.context, "etl directory", ALLOCSET_SMALL_SIZES);
	level->path = MemoryContextStrdup(level->context, path);
	level->name = MemoryContextAlloc(level->context, sizeof(char *) * (level->room = 16));
	disk->depth++;
	while ((entry = ReadDir(dir, full)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			add_name(disk, level, entry->d_name);
	}
	FreeDir(dir);
	if (level->n > 1)
		qsort(level->name, level->n, sizeof(char *), compare_names);
	pfree(full);
}

/* add_file adds a file to the list; what has gone meanwhile, and links that lead out of root or to anything but a file, are not. */
static void
add_file(const DiskStore *disk, EtlFileList *list, char *path)
{
	char *full = full_path(disk, path);
	char resolved[PATH_MAX];
	struct stat st;
	EtlFile *file = &list->file[list->n];

	if (lstat(full, &st) < 0 || (S_ISLNK(st.st_mode) && (!is_below(disk, full, resolved) || stat(full, &st) < 0)) ||
		!S_ISREG(st.st_mode))
		return;
	file->path = path;
	file->size = st.st_size;
	file->etag = version_of(&st);
	file->modified = time_t_to_timestamptz((pg_time_t) st.st_mtim.tv_sec);
	list->n++;
}

/* disk_list goes on with the walk. */
static bool
disk_list(EtlStore *store, EtlFileList *list)
{
	DiskStore *disk = (DiskStore *) store;

	list->n = 0;
	list->file = palloc(sizeof(EtlFile) * PART);
	if (!disk->is_walking)
		enter(disk, "");
	disk->is_walking = true;
	while (disk->depth > 0 && list->n < PART)
	{
		Level *level = &disk->level[disk->depth - 1];

		CHECK_FOR_INTERRUPTS();
		if (level->next == level->n)
		{
			MemoryContextDelete(level->context);
			disk->depth--;
		}
		else
		{
			const char *name = level->name[level->next++];
			char *path = psprintf("%s%s", level->path, name);

			if (name[strlen(name) - 1] == '/')
				enter(disk, path);
			else
				add_file(disk, list, path);
		}
	}
	return disk->depth > 0;
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

/*
 * open_below opens a file, whose links are followed now and never again: whoever may write below root cannot put a link in the
 * place of a directory that has been looked at. Returns -1 with errno set; ENOENT: it leads out of root.
 */
static int
open_below(const DiskStore *disk, const char *path)
{
	char resolved[PATH_MAX];
	char *part = resolved + strlen(disk->root) + 1;
	int dir;

	if (!is_below(disk, full_path(disk, path), resolved))
	{
		errno = ENOENT;
		return -1;
	}
	dir = open(disk->root[0] ? disk->root : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (char *slash; dir >= 0 && (slash = strchr(part, '/')) != NULL; part = slash + 1)
	{
		int next;

		*slash = '\0';
		next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		(void) close(dir);
		dir = next;
	}
	if (dir >= 0)
	{
		int fd = openat(dir, part, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | PG_BINARY);
		int saved = errno;

		(void) close(dir);
		errno = saved;
		return fd;
	}
	return -1;
}

/* disk_open_file opens the version that was listed. */
static void
disk_open_file(EtlStore *store, const EtlFile *file)
{
	DiskStore *disk = (DiskStore *) store;
	struct stat st;

	if (!AcquireExternalFD())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("too many files are open"),
						errhint("Raise max_files_per_process.")));
	disk->fd = open_below(disk, file->path);
	if (disk->fd < 0)
	{
		ReleaseExternalFD();
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
			refuse_changed(file, "It has gone, or leads out of root.");
		ereport(ERROR, (errcode_for_file_access(), errmsg("file \"%s\" cannot be opened: %m", file->path),
						errhint("Check what the user that PostgreSQL runs as may read.")));
	}
	if (fstat(disk->fd, &st) < 0 || !S_ISREG(st.st_mode))
		refuse_changed(file, "It is no plain file any more.");
	if (st.st_size != file->size || strcmp(version_of(&st), file->etag) != 0)
		refuse_changed(file, psprintf("It had " INT64_FORMAT " bytes, and has " INT64_FORMAT " now.", file->size,
									  (int64) st.st_size));
	(void) posix_fadvise(disk->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	disk->file = file;
	disk->left = file->size;
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
