/*
 * compat.h
 *		The differences between PostgreSQL 15, 16, 17 and 18 that the code meets. The only file that looks at
 *		PG_VERSION_NUM.
 */
#ifndef ETL_COMPAT_H
#define ETL_COMPAT_H

#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "parser/parse_relation.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "utils/guc.h"

#if PG_VERSION_NUM < 150000
#error "etl_ext needs PostgreSQL 15 or later"
#endif

/* PostgreSQL 18 requires the version macro with the module's name. */
#if PG_VERSION_NUM >= 180000
#define ETL_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "etl_ext", .version = ETL_VERSION)
#else
#define ETL_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* A range table entry that turns into a subquery is no longer checked for relation privileges. */
static inline void
etl_compat_clear_perms(RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	rte->perminfoindex = 0;
#else
	rte->requiredPerms = 0;
	rte->checkAsUser = InvalidOid;
	rte->selectedCols = NULL;
	rte->insertedCols = NULL;
	rte->updatedCols = NULL;
	rte->extraUpdatedCols = NULL;
#endif
}

/* 16 gave new-style names to the functions that check privileges on objects; the arguments are the same. */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"
#include "utils/acl.h"
#define etl_compat_database_aclcheck(oid, role, mode) object_aclcheck(DatabaseRelationId, oid, role, mode)
#define etl_compat_namespace_aclcheck(oid, role, mode) object_aclcheck(NamespaceRelationId, oid, role, mode)
#define etl_compat_is_relation_owner(oid, role) object_ownercheck(RelationRelationId, oid, role)
#define etl_compat_server_aclcheck(oid, role, mode) object_aclcheck(ForeignServerRelationId, oid, role, mode)
#define etl_compat_is_database_owner(oid, role) object_ownercheck(DatabaseRelationId, oid, role)
#else
#include "utils/acl.h"
#define etl_compat_database_aclcheck(oid, role, mode) pg_database_aclcheck(oid, role, mode)
#define etl_compat_namespace_aclcheck(oid, role, mode) pg_namespace_aclcheck(oid, role, mode)
#define etl_compat_is_relation_owner(oid, role) pg_class_ownercheck(oid, role)
#define etl_compat_server_aclcheck(oid, role, mode) pg_foreign_server_aclcheck(oid, role, mode)
#define etl_compat_is_database_owner(oid, role) pg_database_ownercheck(oid, role)
#endif

/* Makes the index entries of a row that was just inserted; 16 added an argument for updates of BRIN indexes. */
static inline List *
etl_compat_insert_index_tuples(ResultRelInfo *result, TupleTableSlot *slot, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false);
#else
	return ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL);
#endif
}

/* 16 gave DecodeDateTime an argument for details of errors, and settings memory of their own. */
#include "utils/datetime.h"
#if PG_VERSION_NUM >= 160000
static inline int
etl_compat_decode_datetime(char **field, int *type, int n, int *kind, struct pg_tm *tm, fsec_t *fsec, int *tz)
{
	DateTimeErrorExtra extra;

	return DecodeDateTime(field, type, n, kind, tm, fsec, tz, &extra);
}
#define etl_compat_guc_alloc(size) guc_malloc(LOG, size)
#else
#define etl_compat_decode_datetime(field, type, n, kind, tm, fsec, tz)                                                 \
	DecodeDateTime(field, type, n, kind, tm, fsec, tz)
#define etl_compat_guc_alloc(size) malloc(size)
#endif

/* 16 gave the parser of qualified names a context for soft errors. */
#include "utils/regproc.h"
static inline List *
etl_compat_qualified_name(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return stringToQualifiedNameList(name, NULL);
#else
	return stringToQualifiedNameList(name);
#endif
}

/* 16 gave the parser of type names a context for soft errors. False: there is no such type. */
#include "parser/parse_type.h"
static inline bool
etl_compat_parse_type(const char *name, Oid *type, int32 *typmod)
{
#if PG_VERSION_NUM >= 160000
	return parseTypeString(name, type, typmod, NULL);
#else
	parseTypeString(name, type, typmod, true);
	return OidIsValid(*type);
#endif
}

/* 18 took the flag "only once" from the executor and from portals: it is always true. */
#include "executor/executor.h"
#include "tcop/pquery.h"
/* Parameters and arguments of ExecutorRun_hook. */
#if PG_VERSION_NUM >= 180000
#define ETL_RUN_PARAMETERS QueryDesc *desc, ScanDirection direction, uint64 count
#define ETL_RUN_ARGUMENTS desc, direction, count
#else
#define ETL_RUN_PARAMETERS QueryDesc *desc, ScanDirection direction, uint64 count, bool once
#define ETL_RUN_ARGUMENTS desc, direction, count, once
#endif

static inline void
etl_compat_executor_run(QueryDesc *desc)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(desc, ForwardScanDirection, 0);
#else
	ExecutorRun(desc, ForwardScanDirection, 0, true);
#endif
}

static inline bool
etl_compat_portal_run(Portal portal, bool toplevel, DestReceiver *dest, QueryCompletion *completion)
{
#if PG_VERSION_NUM >= 180000
	return PortalRun(portal, FETCH_ALL, toplevel, dest, dest, completion);
#else
	return PortalRun(portal, FETCH_ALL, toplevel, true, dest, dest, completion);
#endif
}

/* 18 spells it as a keyword; both go in front of the declaration. */
#if PG_VERSION_NUM >= 180000
#define ETL_NORETURN pg_noreturn
#else
#define ETL_NORETURN pg_attribute_noreturn()
#endif

/* Bytes are uint8 since 18. Returns the length, or -1 when dst is too short; writes no terminating zero. */
#include "common/base64.h"
static inline int
etl_compat_base64(const char *src, int len, char *dst, int dstlen)
{
#if PG_VERSION_NUM >= 180000
	return pg_b64_encode((const uint8 *) src, len, dst, dstlen);
#else
	return pg_b64_encode(src, len, dst, dstlen);
#endif
}

/* What a backend is doing, by its place in the list, from 1; 16 gave the function another name. */
#include "utils/backend_status.h"
static inline LocalPgBackendStatus *
etl_compat_backend(int i)
{
#if PG_VERSION_NUM >= 160000
	return pgstat_get_local_beentry_by_index(i);
#else
	return pgstat_fetch_stat_local_beentry(i);
#endif
}

/* The process that has a virtual transaction open, or NULL; 17 numbers processes instead of backends. */
static inline PGPROC *
etl_compat_process(VirtualTransactionId vxid)
{
#if PG_VERSION_NUM >= 170000
	PGPROC *process = ProcNumberGetProc(vxid.procNumber);

	return process && process->vxid.lxid == vxid.localTransactionId ? process : NULL;
#else
	PGPROC *process = BackendIdGetProc(vxid.backendId);

	return process && process->lxid == vxid.localTransactionId ? process : NULL;
#endif
}

/* 17 and 18 gave paths of foreign scans more arguments. */
#include "optimizer/pathnode.h"
static inline ForeignPath *
etl_compat_foreign_path(PlannerInfo *root, RelOptInfo *rel, double rows, Cost startup, Cost total)
{
#if PG_VERSION_NUM >= 180000
	return create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, NIL, rel->lateral_relids, NULL, NIL, NIL);
#elif PG_VERSION_NUM >= 170000
	return create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, rel->lateral_relids, NULL, NIL, NIL);
#else
	return create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, rel->lateral_relids, NULL, NIL);
#endif
}

/* Whose rights a foreign scan has: those of the owner of a view that it is in. 16 keeps them in the plan. */
#include "miscadmin.h"
static inline Oid
etl_compat_scan_user(ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
#if PG_VERSION_NUM >= 160000
	Oid user = plan->checkAsUser;
#else
	Oid user = exec_rt_fetch(plan->scan.scanrelid, node->ss.ps.state)->checkAsUser;
#endif

	return OidIsValid(user) ? user : GetUserId();
}

/* 16 lets the callbacks of the JSON parser return errors; 17 gave the lexer's maker another argument. */
#include "common/jsonapi.h"
#if PG_VERSION_NUM >= 160000
#define ETL_JSON_ACTION JsonParseErrorType
#define ETL_JSON_GO_ON return JSON_SUCCESS
#else
#define ETL_JSON_ACTION void
#define ETL_JSON_GO_ON return
#endif

static inline JsonLexContext *
etl_compat_json_lexer(char *json, int length, int encoding)
{
#if PG_VERSION_NUM >= 170000
	return makeJsonLexContextCstringLen(NULL, json, length, encoding, true);
#else
	return makeJsonLexContextCstringLen(json, length, encoding, true);
#endif
}

#endif /* ETL_COMPAT_H */
