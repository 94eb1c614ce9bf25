/*
 * lock.c
 *		Locks that tell who is alive and who may write. See lock.h.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "worker/bgw.h"
#include "worker/lock.h"

/* make_tag fills the tag of a lock in this database. */
static void
make_tag(LOCKTAG *tag, EtlLockClass class, int64 key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key, class);
}

/* etl_lock_take takes a lock, waiting for whoever has it; can be interrupted. */
void
etl_lock_take(EtlLockClass class, int64 key, bool session)
{
	LOCKTAG tag;

	make_tag(&tag, class, key);
	(void) LockAcquire(&tag, ExclusiveLock, session, false);
}

/* etl_lock_try takes a lock unless somebody has it. */
bool
etl_lock_try(EtlLockClass class, int64 key, bool session)
{
	LOCKTAG tag;

	make_tag(&tag, class, key);
	return LockAcquire(&tag, ExclusiveLock, session, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* etl_lock_release gives back a lock that was taken for the session. */
void
etl_lock_release(EtlLockClass class, int64 key)
{
	LOCKTAG tag;

	make_tag(&tag, class, key);
	LockRelease(&tag, ExclusiveLock, true);
}

/* etl_lock_is_held says whether somebody holds a lock. Takes nothing, so that it gets in nobody's way. */
bool
etl_lock_is_held(EtlLockClass class, int64 key)
{
	LOCKTAG tag;

	make_tag(&tag, class, key);
	return LockWaiterCount(&tag) > 0;
}

/*
 * etl_lock_wake_holder sets the latch of the process that holds a lock, if there is one. The lock table names holders by
 * their transaction, and a worker that sleeps is in none: so all workers of this database are woken, which does no harm.
 * Allocates and raises nothing: it may be called while a transaction commits.
 */
void
etl_lock_wake_holder(EtlLockClass class, int64 key)
{
	if (etl_lock_is_held(class, key))
		etl_bgw_wake(MyDatabaseId);
}
