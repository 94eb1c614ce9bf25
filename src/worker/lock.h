/*
 * lock.h
 *		Locks that tell who is alive and who may write. They are advisory locks with a class of their own in the last
 *		field of the tag, which no SQL function can name; pg_locks shows it as objsubid.
 */
#ifndef ETL_LOCK_H
#define ETL_LOCK_H

typedef enum EtlLockClass
{
	ETL_LOCK_ATTEMPT = 0xE71,	/* held by the worker of an attempt; key: task_run_id */
	ETL_LOCK_TARGET = 0xE72,	/* held by the one writer of a table; key: its Oid */
	ETL_LOCK_SCHEDULER = 0xE73, /* held by the scheduler of the database; key: 0 */
	ETL_LOCK_WAITER = 0xE74,	/* held by a session that waits for a run; key: a random number */
	ETL_LOCK_NOTIFIER = 0xE75,	/* held by the notifier of the database; key: 0 */
	ETL_LOCK_SNAPSHOT = 0xE76	/* held by the holder of a snapshot; key: etl_run_snapshot_key */
} EtlLockClass;

/* session: until released or the process ends; otherwise until the transaction ends. */
extern void etl_lock_take(EtlLockClass class, int64 key, bool session);
extern bool etl_lock_try(EtlLockClass class, int64 key, bool session);
extern void etl_lock_release(EtlLockClass class, int64 key);
extern bool etl_lock_is_held(EtlLockClass class, int64 key);
extern void etl_lock_wake_holder(EtlLockClass class, int64 key);

#endif /* ETL_LOCK_H */
