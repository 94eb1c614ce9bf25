/*
 * pool.h
 *		The table etl.pool: limits that tasks of all pipelines share.
 *
 * A task takes pool_slots of its pool while it works, by the definition that its run is pinned to; all slots, when the
 * pool has become smaller than that. A pool that is not in the list (dropped since the run began) limits nothing.
 */
#ifndef ETL_POOL_H
#define ETL_POOL_H

#include "catalog/spi.h"

typedef struct EtlPool
{
	char *name;
	int slots; /* 0: none of its tasks may start */
	char *description;
	Oid owner; /* may be gone */
	char *owner_name;
} EtlPool;

/* What a reader of a pool is about to do; held until the end of the transaction. */
typedef enum EtlPoolLock
{
	ETL_POOL_READ,
	ETL_POOL_USE,	 /* let a task take it: it cannot be dropped meanwhile */
	ETL_POOL_CHANGE, /* change it: nobody else can */
	ETL_POOL_DROP	 /* drop it: no task can begin to use it */
} EtlPoolLock;

extern int etl_pool_list(EtlPool **pool);
extern EtlPool *etl_pool_find(const char *name, EtlPoolLock lock);
extern bool etl_pool_insert(const EtlPool *pool);
extern void etl_pool_update(const EtlPool *pool);
extern void etl_pool_delete(const char *name);
extern char *etl_pool_users(const char *name, Oid reader);

#endif /* ETL_POOL_H */
