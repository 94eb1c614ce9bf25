/*
 * diff.c
 *		Which of the files that were listed are read. See feed.h.
 *
 * A version of a file is its path, its ETag and its size. What is in the ledger with all three was read, or is gone on with;
 * what is there with another ETag or size has changed.
 */
#include "postgres.h"

#include "file/feed.h"
#include "miscadmin.h"
#include "observe/progress.h"
#include "utils/memutils.h"

/* What the ledger knows of a file. */
typedef struct Known
{
	const EtlLedgerFile *same; /* this version; NULL: no */
	bool is_skipped;		   /* any version is passed over */
	bool has_other;			   /* other versions, of which something was read */
	bool has_complete;		   /* of them one to its end, or decided on otherwise */
} Known;

/* compare_rows orders rows of the ledger by path. */
static int
compare_rows(const void *a, const void *b)
{
	return strcmp(((const EtlLedgerFile *) a)->path, ((const EtlLedgerFile *) b)->path);
}

/* look_up finds what the ledger knows; *at: where to look from, as both lists have the same order. */
static Known
look_up(const EtlFile *file, const EtlLedgerFile *row, int n, int *at)
{
	Known known = {0};

	while (*at < n && strcmp(row[*at].path, file->path) < 0)
		(*at)++;
	for (int i = *at; i < n && strcmp(row[i].path, file->path) == 0; i++)
	{
		if (strcmp(row[i].etag, ETL_LEDGER_ANY) == 0)
			known.is_skipped = true;
		else if (strcmp(row[i].etag, file->etag) == 0 && row[i].size == file->size)
			known.same = &row[i];
		else if (strcmp(row[i].state, "loading") != 0)
			known.has_other = known.has_complete = true;
		else if (row[i].records > 0)
			known.has_other = true;
	}
	return known;
}

/* add_wanted adds a file to be read. */
static EtlWanted *
add_wanted(EtlFileFeed *feed, const EtlFile *file)
{
	EtlWanted *wanted = &feed->wanted[feed->n_wanted++];

	memset(wanted, 0, sizeof(*wanted));
	wanted->file = *file;
	wanted->known = -1;
	wanted->ledger.path = file->path;
	wanted->ledger.etag = file->etag;
	wanted->ledger.size = file->size;
	wanted->ledger.modified = file->modified;
	wanted->ledger.state = "loading";
	return wanted;
}

/* pass_over notes that a changed file is not read. */
static void
pass_over(EtlFileFeed *feed, const EtlFile *file)
{
	EtlLedgerFile row = {.path = file->path,
						 .etag = file->etag,
						 .size = file->size,
						 .modified = file->modified,
						 .state = "skipped",
						 .reason = "it has changed, and file_changed is ignore"};

	etl_file_ledger_save(feed->base.request.attempt, &row, -1);
	etl_attempt_count(feed->base.request.attempt, "files_ignored", 1);
}

/* add_changed does what file_changed says. A version that was only begun is no reason to pass over the next one. */
static void
add_changed(EtlFileFeed *feed, const EtlFile *file, const Known *known)
{
	const char *policy = feed->base.request.task->file_changed;

	if (policy && strcmp(policy, "error") == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("file \"%s\" has changed since it was read", file->path),
						errdetail("It now has " INT64_FORMAT " bytes and version %s, and file_changed is error.",
								  file->size, file->etag),
						errhint("etl.reload_file lets it be read again, etl.skip_file passes over it.")));
	if (policy && strcmp(policy, "ignore") == 0 && known->has_complete)
	{
		pass_over(feed, file);
		return;
	}
	add_wanted(feed, file)->replaces = policy && strcmp(policy, "replace") == 0;
	etl_attempt_count(feed->base.request.attempt, "files_changed", 1);
}

/* go_on adds a file that the ledger has in this version, if it is not complete; a full refresh reads it from its beginning. */
static void
go_on(EtlFileFeed *feed, const EtlFile *file, const EtlLedgerFile *row)
{
	const EtlFeedRequest *request = &feed->base.request;
	bool anew = request->full_refresh && row->run_id != request->attempt->run_id;
	EtlWanted *wanted;

	if (strcmp(row->state, "loading") != 0 && !anew)
		return;
	wanted = add_wanted(feed, file);
	wanted->known = row->records;
	if (anew)
		return;
	wanted->ledger.records = row->records;
	wanted->ledger.bad_records = row->bad_records;
}

/* decide looks at one file. */
static void
decide(EtlFileFeed *feed, const EtlFile *file, const Known *known)
{
	if (known->is_skipped)
		return;
	if (known->same)
		go_on(feed, file, known->same);
	else if (known->has_other && !feed->base.request.full_refresh)
		add_changed(feed, file, known);
	else
		add_wanted(feed, file);
}

/* expect_bytes tells how large the files are that are to be read. */
static void
expect_bytes(const EtlFileFeed *feed)
{
	int64 bytes = 0;

	for (int i = 0; i < feed->n_wanted; i++)
		bytes += feed->wanted[i].file.size;
	etl_progress_own_unit(true);
	etl_progress_total(bytes, false);
}

/* etl_file_diff goes through the list. Without an extract everything is read. */
void
etl_file_diff(EtlFileFeed *feed)
{
	MemoryContext old = MemoryContextSwitchTo(feed->list_context);
	EtlNames paths = {0, palloc(sizeof(char *) * Max(feed->list.n, 1))};
	EtlLedgerFile *row = NULL;
	int n = 0;
	int at = 0;

	feed->is_listed = false;
	feed->wanted = palloc_extended(sizeof(EtlWanted) * Max(feed->list.n, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < feed->list.n; i++)
		paths.name[paths.n++] = feed->list.file[i].path;
	if (feed->base.request.attempt && !feed->base.request.attempt->is_backfill && paths.n > 0)
		n = etl_file_ledger_find(feed->base.request.task->task_id, &paths, &row);
	if (n > 1)
		qsort(row, n, sizeof(EtlLedgerFile), compare_rows);
	for (int i = 0; i < feed->list.n; i++)
	{
		Known known = look_up(&feed->list.file[i], row, n, &at);

		CHECK_FOR_INTERRUPTS();
		decide(feed, &feed->list.file[i], &known);
	}
	expect_bytes(feed);
	MemoryContextSwitchTo(old);
}
