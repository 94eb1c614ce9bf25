/*
 * position.c
 *		Where an extract from an API stands: read when its feed is opened, written with the rows. See feed.h.
 *
 * An attempt goes on where the one before it stopped if it asks the same question. Pages that go by numbers are only
 * continued in the same run: a day later the numbers mean other records. Cursors mean what they mean.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "http/feed.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "commands/defrem.h"
#include "utils/memutils.h"

/* hash_request is of everything that decides what is asked. */
static char *
hash_request(const EtlHttpFeed *feed)
{
	StringInfoData all;
	ListCell *lc;

	initStringInfo(&all);
	appendStringInfo(&all, "%s\n%s\n%s", feed->table->base_url, feed->bounds.since ? feed->bounds.since : "",
					 feed->bounds.until ? feed->bounds.until : "");
	foreach (lc, feed->table->options)
	{
		DefElem *option = lfirst_node(DefElem, lc);

		appendStringInfo(&all, "\n%s=%s", option->defname, defGetString(option));
	}
	return psprintf("%016llx", (unsigned long long) hash_bytes_extended((const unsigned char *) all.data, all.len, 0));
}

/* may_resume says whether the position counts for this attempt. */
static bool
may_resume(const EtlHttpFeed *feed, const char *request)
{
	const EtlHttpProgress *progress = &feed->progress;
	const EtlAttempt *attempt = feed->base.request.attempt;
	bool same_run = progress->run_id == attempt->run_id;
	bool by_number = feed->table->paging == ETL_HTTP_PAGE || feed->table->paging == ETL_HTTP_OFFSET;

	if (progress->version == 0 || !progress->unfinished || strcmp(progress->request, request) != 0)
		return false;
	if (progress->full_refresh != feed->base.request.full_refresh)
		return false;
	return same_run || (!by_number && !progress->full_refresh);
}

/* resume begins at the page where an earlier attempt has stopped. */
static void
resume(EtlHttpFeed *feed)
{
	EtlHttpProgress *progress = &feed->progress;
	int parent = progress->parent != NULL ? etl_http_parent_find(feed->parents, progress->parent) : 0;
	char *key = etl_http_parent_key(feed->parents, parent);
	bool same = progress->parent == NULL || (key != NULL && strcmp(key, progress->parent) == 0);

	feed->base.resumed_highest = progress->highest;
	feed->n_pages = progress->pages;
	feed->next.parent = parent;
	feed->asked_all = parent >= feed->parents->n;
	if (!same)
		return;
	feed->next.number = progress->page_number;
	feed->next.cursor = progress->page_cursor;
	feed->received = progress->received;
	feed->is_resumed = true;
}

/* etl_http_position_read begins where it is right to begin. */
void
etl_http_position_read(EtlHttpFeed *feed)
{
	const EtlFeedRequest *request = &feed->base.request;
	char *hash = hash_request(feed);

	if (request->task != NULL && request->attempt != NULL && !request->attempt->is_backfill)
	{
		EtlHttpProgress *progress = &feed->progress;

		etl_http_progress_get(request->task->task_id, progress);
		if (may_resume(feed, hash))
			resume(feed);
		else if (progress->version > 0 && !progress->unfinished && !request->full_refresh &&
				 strcmp(progress->request, hash) == 0)
		{
			feed->etag = progress->etag;
			feed->last_modified = progress->last_modified;
		}
	}
	feed->progress.request = hash;
	feed->done = feed->next;
	feed->done_received = feed->received;
	feed->done_all = feed->asked_all;
}

/* keep_place notes the place behind what was given out. */
static void
keep_place(EtlHttpFeed *feed)
{
	EtlHttpProgress *progress = &feed->progress;
	const EtlHttpPage *page = feed->current;
	const EtlHttpPosition *place = &feed->done;

	progress->record = 0;
	progress->page_hash = NULL;
	progress->received = feed->done_received;
	if (page != NULL && page->given > 0)
	{
		place = &page->position;
		progress->record = page->given;
		progress->page_hash = psprintf(UINT64_FORMAT, page->document.hash);
		progress->received = page->before;
	}
	progress->parent = etl_http_parent_key(feed->parents, place->parent);
	progress->page_number = place->number;
	progress->page_cursor = place->cursor;
	/* An address with a secret in it is not written down: then the next attempt begins at the beginning. */
	progress->unfinished = place->cursor == NULL ||
						   strcmp(etl_http_table_redact(feed->table, place->cursor), place->cursor) == 0;
	if (!progress->unfinished)
		progress->page_cursor = NULL;
}

/* etl_http_position_save writes it with the rows. */
void
etl_http_position_save(EtlHttpFeed *feed, const char *highest)
{
	EtlHttpProgress *progress = &feed->progress;
	const EtlAttempt *attempt = feed->base.request.attempt;
	bool finished = feed->done_all && feed->current == NULL;

	progress->run_id = attempt->run_id;
	progress->full_refresh = feed->base.request.full_refresh;
	progress->pages = finished ? 0 : feed->n_pages;
	progress->highest = finished ? NULL : unconstify(char *, highest);
	progress->etag = finished && feed->ends_with_one ? feed->etag : NULL;
	progress->last_modified = finished && feed->ends_with_one ? feed->last_modified : NULL;
	keep_place(feed);
	if (finished)
	{
		progress->unfinished = false;
		progress->parent = NULL;
		progress->page_number = 0;
		progress->page_cursor = NULL;
	}
	etl_http_progress_store(feed->base.request.task->task_id, progress);
}
