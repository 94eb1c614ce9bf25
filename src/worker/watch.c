/*
 * watch.c
 *		What the launcher knows of each database, in shared memory. See watch.h.
 *
 * One lock protects everything. Times only come nearer until a scheduler begins, which then looks at everything anyway:
 * so no wish to be looked at is lost, whatever the order.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"
#include "worker/watch.h"

#define TRANCHE "etl_ext"
#define MAX_DATABASES 1024

/* Pause before a scheduler that died is started again: doubled with each death in a row. */
#define BACKOFF_FIRST (5 * USECS_PER_SEC)
#define BACKOFF_LAST (300 * USECS_PER_SEC)

typedef struct Entry
{
	Oid database;		  /* hash key */
	TimestampTz wake_at;  /* when to look; DT_NOEND: never */
	int scheduler;		  /* process that holds the lock, or 0 */
	TimestampTz began_at; /* since then */
	int failures;		  /* deaths in a row */
	int blocked;		  /* statements that keep workers out */
	bool looking;		  /* the launcher has started a worker that has neither begun nor ended */
} Entry;

typedef struct Header
{
	LWLock *lock;
	Latch *launcher; /* NULL: there is none at the moment */
	bool overflowed; /* there was no room for a database that should have been looked at */
} Header;

static Header *header = NULL;
static HTAB *entries = NULL;

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

/* request_memory asks for shared memory while the server starts. */
static void
request_memory(void)
{
	if (next_shmem_request_hook)
		next_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Header)));
	RequestAddinShmemSpace(hash_estimate_size(MAX_DATABASES, sizeof(Entry)));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

/* make_memory lays it out; runs again after a crash. */
static void
make_memory(void)
{
	HASHCTL control = {.keysize = sizeof(Oid), .entrysize = sizeof(Entry)};
	bool found;

	if (next_shmem_startup_hook)
		next_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	header = ShmemInitStruct("etl_ext launcher", sizeof(Header), &found);
	if (!found)
	{
		memset(header, 0, sizeof(Header));
		header->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	}
	entries = ShmemInitHash("etl_ext databases", 64, MAX_DATABASES, &control, HASH_ELEM | HASH_BLOBS);
	LWLockRelease(AddinShmemInitLock);
}

/* etl_watch_init installs the hooks. */
void
etl_watch_init(void)
{
	next_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = make_memory;
}

/* etl_watch_exists says whether there is a launcher; in single-user mode there is none. */
bool
etl_watch_exists(void)
{
	return header != NULL && IsUnderPostmaster;
}

/* find returns the entry of a database, or NULL. The lock is held. */
static Entry *
find(Oid database)
{
	return hash_search(entries, &database, HASH_FIND, NULL);
}

/* enter returns the entry of a database, a new one if need be; NULL if there is no room. The lock is held. */
static Entry *
enter(Oid database)
{
	bool found;
	Entry *entry = hash_search(entries, &database, HASH_ENTER_NULL, &found);

	if (entry == NULL)
	{
		header->overflowed = true;
		return NULL;
	}
	if (!found)
	{
		memset(entry, 0, sizeof(Entry));
		entry->database = database;
		entry->wake_at = DT_NOEND;
	}
	return entry;
}

/* tidy removes an entry that says nothing. The lock is held. */
static void
tidy(Entry *entry)
{
	if (entry->wake_at == DT_NOEND && entry->scheduler == 0 && entry->blocked == 0 && !entry->looking)
		hash_search(entries, &entry->database, HASH_REMOVE, NULL);
}

/* lock begins a change; false when there is no shared memory. */
static bool
lock(void)
{
	if (!etl_watch_exists())
		return false;
	LWLockAcquire(header->lock, LW_EXCLUSIVE);
	return true;
}

/* unlock ends it and lets the launcher have a look at it. */
static void
unlock(void)
{
	Latch *launcher = header->launcher;

	LWLockRelease(header->lock);
	if (launcher != NULL)
		SetLatch(launcher);
}

/* etl_watch_poke asks the launcher to look at a database now. */
void
etl_watch_poke(Oid database)
{
	Entry *entry;

	if (!lock())
		return;
	entry = enter(database);
	if (entry != NULL)
		entry->wake_at = Min(entry->wake_at, GetCurrentTimestamp());
	unlock();
}

/* note_failure makes the launcher look again after a pause. The lock is held. */
static void
note_failure(Entry *entry)
{
	TimestampTz now = GetCurrentTimestamp();
	int64 pause = BACKOFF_FIRST;

	/* One that has worked long enough begins anew. */
	if (entry->began_at != 0 && now - entry->began_at > BACKOFF_LAST)
		entry->failures = 0;
	for (int i = 0; i < entry->failures && pause < BACKOFF_LAST; i++)
		pause *= 2;
	entry->failures++;
	entry->began_at = 0;
	entry->wake_at = Min(entry->wake_at, now + Min(pause, BACKOFF_LAST));
}

/* on_exit notices the end of a scheduler; in time it has called etl_watch_scheduler_leaves and exits with 0. */
static void
on_scheduler_exit(int code, Datum arg)
{
	Oid database = DatumGetObjectId(arg);
	Entry *entry;

	if (!lock())
		return;
	entry = code != 0 ? enter(database) : find(database);
	if (entry != NULL)
	{
		bool mine = entry->scheduler == MyProcPid;

		entry->looking = false;
		if (mine)
			entry->scheduler = 0;
		if (mine || (code != 0 && entry->scheduler == 0))
			note_failure(entry);
		tidy(entry);
	}
	unlock();
}

/* etl_watch_scheduler_starts is called by a new scheduler before it connects to its database. */
void
etl_watch_scheduler_starts(Oid database)
{
	if (etl_watch_exists())
		before_shmem_exit(on_scheduler_exit, ObjectIdGetDatum(database));
}

/* etl_watch_scheduler_begins notes who schedules: he looks at everything, so that nobody else has to. */
void
etl_watch_scheduler_begins(Oid database)
{
	Entry *entry;

	if (!lock())
		return;
	entry = enter(database);
	if (entry != NULL)
	{
		entry->scheduler = MyProcPid;
		entry->began_at = GetCurrentTimestamp();
		entry->wake_at = DT_NOEND;
		entry->looking = false;
	}
	unlock();
}

/* etl_watch_scheduler_leaves notes when somebody has to look again. */
void
etl_watch_scheduler_leaves(Oid database, TimestampTz next)
{
	Entry *entry;

	if (!lock())
		return;
	entry = find(database);
	if (entry != NULL && entry->scheduler == MyProcPid)
	{
		entry->scheduler = 0;
		entry->failures = 0;
		/* Somebody may have poked since the lock was given up. */
		entry->wake_at = Min(entry->wake_at, next);
	}
	if (entry != NULL)
	{
		entry->looking = false;
		tidy(entry);
	}
	unlock();
}

/* etl_watch_block keeps workers out of a database. Without room for an entry they are not. */
void
etl_watch_block(Oid database)
{
	Entry *entry;

	if (!lock())
		return;
	entry = enter(database);
	if (entry != NULL)
		entry->blocked++;
	unlock();
}

/* etl_watch_unblock allows them again and has the database looked at. */
void
etl_watch_unblock(Oid database, bool gone)
{
	Entry *entry;

	if (!lock())
		return;
	entry = find(database);
	if (entry != NULL)
	{
		entry->blocked = Max(entry->blocked - 1, 0);
		entry->failures = 0;
		entry->wake_at = gone ? DT_NOEND : GetCurrentTimestamp();
		if (gone)
			entry->scheduler = 0;
		tidy(entry);
	}
	unlock();
}

/* etl_watch_is_blocked says whether workers are kept out of a database. */
bool
etl_watch_is_blocked(Oid database)
{
	Entry *entry;
	bool blocked;

	if (!etl_watch_exists())
		return false;
	LWLockAcquire(header->lock, LW_SHARED);
	entry = find(database);
	blocked = entry != NULL && entry->blocked > 0;
	LWLockRelease(header->lock);
	return blocked;
}

/* on_launcher_exit takes the launcher's latch away. */
static void
on_launcher_exit(int code, Datum arg)
{
	LWLockAcquire(header->lock, LW_EXCLUSIVE);
	header->launcher = NULL;
	LWLockRelease(header->lock);
}

/* etl_watch_launcher_begins lets the launcher be woken. */
void
etl_watch_launcher_begins(void)
{
	before_shmem_exit(on_launcher_exit, (Datum) 0);
	LWLockAcquire(header->lock, LW_EXCLUSIVE);
	header->launcher = MyLatch;
	LWLockRelease(header->lock);
}

/*
 * etl_watch_due returns the database that has waited longest to be looked at, or InvalidOid; next gets the time at which
 * the next one is due. Databases in which a scheduler is at work or about to be, and blocked ones, are left out.
 */
Oid
etl_watch_due(TimestampTz now, TimestampTz *next)
{
	Oid database = InvalidOid;
	HASH_SEQ_STATUS scan;
	Entry *entry;

	*next = DT_NOEND;
	LWLockAcquire(header->lock, LW_SHARED);
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->scheduler != 0 || entry->looking || entry->blocked > 0 || entry->wake_at >= *next)
			continue;
		*next = entry->wake_at;
		database = entry->database;
	}
	LWLockRelease(header->lock);
	return *next <= now ? database : InvalidOid;
}

/* etl_watch_look_begins notes that a worker is about to be started to look at a database. */
void
etl_watch_look_begins(Oid database)
{
	Entry *entry;

	LWLockAcquire(header->lock, LW_EXCLUSIVE);
	entry = enter(database);
	if (entry != NULL)
	{
		entry->wake_at = DT_NOEND;
		entry->looking = true;
	}
	LWLockRelease(header->lock);
}

/* etl_watch_is_looking says whether that worker has neither begun nor ended yet. */
bool
etl_watch_is_looking(Oid database)
{
	Entry *entry;
	bool looking;

	LWLockAcquire(header->lock, LW_SHARED);
	entry = find(database);
	looking = entry != NULL && entry->looking;
	LWLockRelease(header->lock);
	return looking;
}

/* etl_watch_is_busy says whether nobody has to look at a database now: a scheduler is at work, or it is blocked. */
bool
etl_watch_is_busy(Oid database)
{
	Entry *entry;
	bool busy;

	LWLockAcquire(header->lock, LW_SHARED);
	entry = find(database);
	busy = entry != NULL && (entry->scheduler != 0 || entry->looking || entry->blocked > 0);
	LWLockRelease(header->lock);
	return busy;
}

/* etl_watch_look_failed notes that a worker never got as far as looking. */
void
etl_watch_look_failed(Oid database)
{
	Entry *entry;

	LWLockAcquire(header->lock, LW_EXCLUSIVE);
	entry = enter(database);
	if (entry != NULL)
	{
		entry->looking = false;
		note_failure(entry);
	}
	LWLockRelease(header->lock);
}

/* etl_watch_look_later puts a look off. */
void
etl_watch_look_later(Oid database, TimestampTz when)
{
	Entry *entry;

	LWLockAcquire(header->lock, LW_EXCLUSIVE);
	entry = enter(database);
	if (entry != NULL)
	{
		entry->looking = false;
		entry->wake_at = when;
	}
	LWLockRelease(header->lock);
}

/* etl_watch_forget removes a database that does not exist any more, or is not to be looked at. */
void
etl_watch_forget(Oid database)
{
	Entry *entry;

	LWLockAcquire(header->lock, LW_EXCLUSIVE);
	entry = find(database);
	if (entry != NULL)
	{
		entry->wake_at = DT_NOEND;
		tidy(entry);
	}
	LWLockRelease(header->lock);
}

/* etl_watch_overflowed says, once, that there was no room for a database. */
bool
etl_watch_overflowed(void)
{
	bool overflowed;

	LWLockAcquire(header->lock, LW_EXCLUSIVE);
	overflowed = header->overflowed;
	header->overflowed = false;
	LWLockRelease(header->lock);
	return overflowed;
}
