/*
 * fault.c
 *		Faults that a test asks for. See fault.h; empty unless built with "make FAULTS=1".
 */
#include "postgres.h"

#ifdef ETL_FAULTS

#include <signal.h>

#include "access/xact.h"
#include "fault.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/guc.h"

#define MAX_POINTS 16
#define MAX_NAME 63
#define NAME_FORMAT "%63[^:,]"

/* One fault of the list. */
typedef struct Fault
{
	char point[MAX_NAME + 1];
	char task[MAX_NAME + 1];
	int attempt;
	char action[MAX_NAME + 1];
	int nth; /* time that the attempt comes to the point */
} Fault;

/* How often this process has come to a point. */
typedef struct Count
{
	const char *point;
	int n;
} Count;

static char *faults = NULL;
static const char *my_task = NULL;
static int my_attempt = 0;
static Count count[MAX_POINTS];

/* etl_fault_init defines the setting. */
void
etl_fault_init(void)
{
	DefineCustomStringVariable("etl.fault", "Faults for tests: point:task:attempt:action[:n], separated by commas.",
							   NULL, &faults, "", PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
}

/* etl_fault_begin tells which attempt this process works on. */
void
etl_fault_begin(const char *task, int attempt)
{
	my_task = task;
	my_attempt = attempt;
	memset(count, 0, sizeof(count));
}

/* next_fault reads one fault of the list and moves on behind it; false at the end, or at what is no fault. */
static bool
next_fault(const char **list, Fault *fault)
{
	int length = 0;
	int more = 0;

	fault->nth = 1;
	if (sscanf(*list, NAME_FORMAT ":" NAME_FORMAT ":%d:" NAME_FORMAT "%n", fault->point, fault->task, &fault->attempt,
			   fault->action, &length) < 4)
		return false;
	*list += length;
	if (sscanf(*list, ":%d%n", &fault->nth, &more) == 1)
		*list += more;
	*list += **list == ',' ? 1 : 0;
	return true;
}

/* count_point notes that the attempt has come to a point and returns for which time. */
static int
count_point(const char *point)
{
	for (int i = 0; i < MAX_POINTS; i++)
	{
		if (count[i].point == NULL)
			count[i].point = point;
		if (strcmp(count[i].point, point) == 0)
			return ++count[i].n;
	}
	elog(ERROR, "too many fault points");
}

/* wait_for_lock waits for the lock that the test holds, in a transaction of its own when there is none. */
static void
wait_for_lock(void)
{
	LOCKTAG tag;
	bool outside = !IsTransactionState();

	if (outside)
		StartTransactionCommand();
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, ETL_FAULT_LOCK, 1);
	(void) LockAcquire(&tag, ShareLock, false, false);
	if (outside)
		CommitTransactionCommand();
}

/* terminate sends SIGTERM to this process and waits until an interrupt check acts on it. */
static void
terminate(void)
{
	(void) kill(MyProcPid, SIGTERM);
	while (INTERRUPTS_CAN_BE_PROCESSED())
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* act does what a fault asks for. */
static void
act(const Fault *fault)
{
	ereport(LOG, (errmsg("etl fault: %s:%s:%d:%s", fault->point, fault->task, fault->attempt, fault->action)));
	if (strcmp(fault->action, "error") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE), errmsg("a test lets the attempt fail at %s", fault->point),
				 errdetail("The setting etl.fault asks for it."), errhint("Reset etl.fault.")));
	if (strcmp(fault->action, "error_final") == 0)
		ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("a test lets the task fail at %s", fault->point),
						errdetail("The setting etl.fault asks for it."), errhint("Reset etl.fault.")));
	if (strcmp(fault->action, "kill") == 0)
		(void) kill(MyProcPid, SIGKILL);
	else if (strcmp(fault->action, "terminate") == 0)
		terminate();
	else if (strcmp(fault->action, "wait") == 0)
		wait_for_lock();
	else
		elog(FATAL, "unknown fault action \"%s\"", fault->action);
}

/* etl_fault_reach is called at a point. */
void
etl_fault_reach(const char *point)
{
	const char *list = faults;
	Fault fault;
	int nth;

	if (my_task == NULL || list == NULL || list[0] == '\0')
		return;
	nth = count_point(point);
	while (next_fault(&list, &fault))
		if (strcmp(fault.point, point) == 0 && strcmp(fault.task, my_task) == 0 && fault.attempt == my_attempt &&
			fault.nth == nth)
			act(&fault);
}

#endif /* ETL_FAULTS */
