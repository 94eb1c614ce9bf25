/*
 * bisect.c
 *		Does work on a range of rows although some of them cannot be taken. See bisect.h.
 *
 * A piece that fails is rolled back and its halves are tried: one bad row among n costs about log2(n) subtransactions.
 * Only errors that a row's values cause (data exception, integrity constraint violation) are handled so.
 */
#include "postgres.h"

#include "access/xact.h"
#include "load/bisect.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

typedef struct Piece
{
	const EtlBisect *bisect;
	int64 low;
	int64 high;
} Piece;

/* is_row_error says whether an error is about the values of a row. */
static bool
is_row_error(const ErrorData *error)
{
	int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION;
}

/* etl_bisect_catch does work in a subtransaction. */
ErrorData *
etl_bisect_catch(void (*work)(void *arg), void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	return error;
}

/* etl_bisect_try returns the errors of rows only. */
ErrorData *
etl_bisect_try(void (*work)(void *arg), void *arg)
{
	ErrorData *error = etl_bisect_catch(work, arg);

	if (error != NULL && !is_row_error(error))
		ReThrowError(error);
	return error;
}

/* do_piece does the work on one piece, for etl_bisect_try. */
static void
do_piece(void *arg)
{
	Piece *piece = arg;

	piece->bisect->work(piece->bisect->arg, piece->low, piece->high);
}

/* etl_bisect_run does the work on a range; recursion is at most 64 deep, memory does not grow with the range. */
void
etl_bisect_run(const EtlBisect *bisect, int64 low, int64 high)
{
	Piece piece = {bisect, low, high};
	MemoryContext context;
	MemoryContext caller;
	ErrorData *error;
	bool is_split;

	CHECK_FOR_INTERRUPTS();
	if (low > high)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "etl_ext bisect", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	error = etl_bisect_try(do_piece, &piece);
	is_split = error != NULL && low < high;
	if (error == NULL && bisect->accept != NULL)
		bisect->accept(bisect->arg);
	else if (error != NULL && !is_split)
		bisect->reject(bisect->arg, low, error);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	if (is_split)
	{
		int64 middle = low + (high - low) / 2;

		etl_bisect_run(bisect, low, middle);
		etl_bisect_run(bisect, middle + 1, high);
	}
}
