/*
 * due_step.c
 *		All schedules of a database, as the scheduler carries them out. See due.h.
 *
 * When each schedule is due next is kept in memory, together with what it was computed from, so that a look at schedules
 * of which none is due costs one query. A pipeline whose times cannot be decided is told of once and tried again later.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pipeline.h"
#include "catalog/schedule.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "schedule/cron_next.h"
#include "schedule/cron_zone.h"
#include "schedule/due.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/step.h"

/* When to try again, in ms: somebody else has the pipeline's row; an error, or a full queue. */
#define LOCKED_PAUSE 1000
#define LATER_PAUSE 60000

/* What is known of one schedule. */
typedef struct Known
{
	int64 pipeline_id; /* hash key */
	uint64 definition; /* hash of schedule and time zone */
	Oid owner;
	TimestampTz decided_until;
	TimestampTz next;	   /* first time after that; DT_NOEND: none */
	TimestampTz try_after; /* not to be tried before */
	char *error;		   /* that the last try ended with; NULL: none */
	uint32 round;		   /* in which it was last seen */
} Known;

static HTAB *known;

/* read_schedules lists the schedules into the caller's context; none when the extension is gone. */
static int
read_schedules(EtlScheduleLine **line)
{
	MemoryContext caller = CurrentMemoryContext;
	int n = 0;

	etl_step_begin();
	if (etl_catalog_exists())
	{
		MemoryContextSwitchTo(caller);
		n = etl_schedule_list(line);
	}
	etl_step_end();
	return n;
}

/* compute_next computes when a schedule is due next. Errors: 22023, for a time zone that the server has lost. */
static void
compute_next(const EtlScheduleLine *line, Known *entry, TimestampTz decided_until)
{
	entry->next = DT_NOEND;
	entry->decided_until = decided_until;
	entry->next = etl_cron_next(etl_cron_expr_parse(line->schedule), etl_cron_zone_find(line->timezone), decided_until);
}

/*
 * decide creates the runs that are due of one pipeline, and returns up to when its schedule is decided. false: the pipeline
 * has just changed, or somebody else has its row; the scheduler waits for nobody's transaction.
 */
static bool
decide(const EtlScheduleLine *line, TimestampTz now, TimestampTz *decided_until)
{
	EtlDue due = {.now = now};
	EtlPipeline *pipeline;

	if (!etl_schedule_lock(line->pipeline_id))
		return false;
	pipeline = etl_pipeline_find(line->pipeline, true);
	if (pipeline == NULL || pipeline->pipeline_id != line->pipeline_id || pipeline->schedule == NULL ||
		pipeline->paused || !etl_schedule_get(pipeline->pipeline_id, decided_until))
		return false;
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(pipeline->owner)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("its owner does not exist any more"),
						errhint("SELECT etl.alter_pipeline(%s, owner => ...) gives it another one.",
								quote_literal_cstr(pipeline->name))));
	due.pipeline = pipeline;
	due.caller = pipeline->owner;
	*decided_until = etl_due_decide(&due);
	return true;
}

/* work does what can be done for one schedule now. */
static void
work(const EtlScheduleLine *line, Known *entry, TimestampTz now)
{
	TimestampTz decided_until;
	bool done;

	if (entry->next == DT_NOBEGIN)
		compute_next(line, entry, line->decided_until);
	if (entry->next > now)
		return;
	etl_step_begin();
	done = decide(line, now, &decided_until);
	etl_step_end();
	if (!done)
	{
		entry->try_after = TimestampTzPlusMilliseconds(now, LOCKED_PAUSE);
		return;
	}
	compute_next(line, entry, decided_until);
	/* The queue is full. */
	if (entry->next <= now)
		entry->try_after = TimestampTzPlusMilliseconds(now, LATER_PAUSE);
}

/* forget_error frees the error of a schedule. */
static void
forget_error(Known *entry)
{
	if (entry->error)
		pfree(entry->error);
	entry->error = NULL;
}

/* note_error tells of an error, unless it is the same as last time. */
static void
note_error(const EtlScheduleLine *line, Known *entry, const ErrorData *error, TimestampTz now)
{
	if (entry->error == NULL || strcmp(entry->error, error->message) != 0)
	{
		ereport(LOG, (errmsg("etl_ext: the schedule of pipeline \"%s\" cannot be carried out: %s", line->pipeline,
							 error->message),
					  error->detail ? errdetail_internal("%s", error->detail) : 0,
					  error->hint ? errhint("%s", error->hint) : 0));
		forget_error(entry);
		entry->error = MemoryContextStrdup(TopMemoryContext, error->message);
	}
	entry->try_after = TimestampTzPlusMilliseconds(now, LATER_PAUSE);
}

/* work_guarded keeps an error in one schedule away from the others. */
static void
work_guarded(const EtlScheduleLine *line, Known *entry, TimestampTz now)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		work(line, entry, now);
		forget_error(entry);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(caller);
		note_error(line, entry, error, now);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/* know finds what is known of a schedule, and forgets it where the schedule is another one by now. */
static Known *
know(const EtlScheduleLine *line, uint32 round)
{
	uint64 definition = hash_combine64(
		hash_bytes_extended((unsigned char *) line->schedule, strlen(line->schedule), 0),
		hash_bytes_extended((unsigned char *) line->timezone, strlen(line->timezone), 0));
	bool found;
	Known *entry = hash_search(known, &line->pipeline_id, HASH_ENTER, &found);

	if (!found)
		entry->error = NULL;
	if (!found || entry->definition != definition || entry->owner != line->owner ||
		entry->decided_until != line->decided_until)
	{
		entry->owner = line->owner;
		entry->definition = definition;
		entry->decided_until = line->decided_until;
		entry->next = DT_NOBEGIN;
		entry->try_after = DT_NOBEGIN;
	}
	entry->round = round;
	return entry;
}

/* forget_others forgets the schedules that were not seen in a round. */
static void
forget_others(uint32 round)
{
	HASH_SEQ_STATUS scan;
	Known *entry;

	hash_seq_init(&scan, known);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->round == round)
			continue;
		forget_error(entry);
		hash_search(known, &entry->pipeline_id, HASH_REMOVE, NULL);
	}
}

/* etl_due_step goes through all schedules. */
TimestampTz
etl_due_step(TimestampTz now)
{
	static uint32 round = 0;
	EtlScheduleLine *line;
	int n = read_schedules(&line);
	TimestampTz next = DT_NOEND;

	if (known == NULL)
	{
		HASHCTL control = {.keysize = sizeof(int64), .entrysize = sizeof(Known)};

		known = hash_create("etl schedules", 32, &control, HASH_ELEM | HASH_BLOBS);
	}
	round++;
	for (int i = 0; i < n; i++)
	{
		Known *entry = know(&line[i], round);
		TimestampTz due;

		CHECK_FOR_INTERRUPTS();
		if (entry->next <= now && entry->try_after <= now)
			work_guarded(&line[i], entry, now);
		due = Max(entry->next, entry->try_after);
		next = Min(next, due);
	}
	forget_others(round);
	return next;
}
