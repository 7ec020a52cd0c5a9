/*-------------------------------------------------------------------------
 *
 * redrive_sql.c
 *	  outbox.redrive() and outbox.discard(): a person works on dead letters;
 *	  outbox_internal.redrive_late(): the relay works on late keys.
 *
 * Every dead letter is tried in a subtransaction of its own. When it fails
 * again, it stays, with the reason.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "letters/letters.h"
#include "letters/redrive/redrive_private.h"

/* How long the relay holds aggregates. */
#define LATE_TIME_MS 50

PG_FUNCTION_INFO_V1(outbox_redrive);
PG_FUNCTION_INFO_V1(outbox_redrive_late);
PG_FUNCTION_INFO_V1(outbox_discard);
PG_FUNCTION_INFO_V1(outbox_resolve_gap);

/* How a person resolves a dead letter or a gap: its id, the reason, the person. */
typedef struct Resolution
{
	const char *args[3];
} Resolution;

static int64 try_letters(List *letters, bool only_one);
static void refuse_more(const OutboxLetter *letter);
static int64 try_late(List *letters, TimestampTz start);
static int limit_argument(FunctionCallInfo fcinfo, int arg);
static void take_resolution(FunctionCallInfo fcinfo, const char *hint, Resolution *resolution);

/* redrive(id, contract, max_rows): how many dead letters became events. */
Datum
outbox_redrive(PG_FUNCTION_ARGS)
{
	int64 id = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0);
	OutboxLetterChoice choice = {.id = PG_ARGISNULL(0) ? NULL : &id, .contract = OutboxTextArg(fcinfo, 1), .max_rows = PG_ARGISNULL(2) ? 1000 : limit_argument(fcinfo, 2)};
	List *letters;

	OutboxRequireVersion();
	letters = OutboxTakeLetters(&choice);
	if (letters == NIL && choice.id)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no open dead letter %lld", (long long) id),
				 errhint("SELECT * FROM outbox.dead_letter WHERE state = 'open' lists them.")));
	if (letters == NIL && choice.contract)
		(void) OutboxContractGet(choice.contract);
	PG_RETURN_INT64(try_letters(letters, choice.id != NULL));
}

static int
limit_argument(FunctionCallInfo fcinfo, int arg)
{
	int max_rows = PG_GETARG_INT32(arg);

	if (max_rows <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_rows\" must be greater than zero: %d", max_rows),
				 errhint("Say how many dead letters to try at most; the others get their turn in the next call.")));
	return max_rows;
}

/*
 * redrive_late(max_rows), for the relay: how many letters it tried. The aggregates
 * stay locked until its transaction ends, and commits of the application wait for
 * them. So it stops after a short time, and long readings are done before the first
 * aggregate is locked.
 */
Datum
outbox_redrive_late(PG_FUNCTION_ARGS)
{
	int max_rows = limit_argument(fcinfo, 0);
	TimestampTz start = GetCurrentTimestamp();

	/* a reading that takes more than one turn */
	if (OutboxKeyEventsBusy() && !OutboxKeyEventsRead(LATE_TIME_MS))
		PG_RETURN_INT64(0);
	PG_RETURN_INT64(try_late(OutboxTakeLateLetters(max_rows), start));
}

/* Tries late letters, as far as there is time; returns how many. */
static int64
try_late(List *letters, TimestampTz start)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "outbox redrive", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	bool looked = OutboxLookForLate(letters, 0, LATE_TIME_MS);
	bool again = false;
	int taken = 0;

	while (looked && taken < list_length(letters))
	{
		OutboxLetter *letter = list_nth(letters, taken);
		OutboxRedriveResult result;

		CHECK_FOR_INTERRUPTS();
		letter->by_relay = true;
		result = OutboxRedriveLetter(letter, again);
		if (result == OUTBOX_REDRIVE_NO_ROOM)
			break;
		again = result == OUTBOX_REDRIVE_LOOK_FIRST;
		/* what other letters have locked by now is given back first */
		if (again && taken > 0)
			break;
		if (again)
			looked = OutboxLookForLate(letters, taken, LATE_TIME_MS);
		else
		{
			taken++;
			if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), LATE_TIME_MS))
				break;
		}
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return taken;
}

/* Tries letters; returns how many were resolved. Letters for whose keys the transaction has no room are left to the next one. */
static int64
try_letters(List *letters, bool only_one)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "outbox redrive", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	int64 redriven = 0;
	bool any_publish = false;
	bool again = false;
	int tried = 0;
	int looked = 0; /* what the letters before it ask for was looked for */

	while (tried < list_length(letters))
	{
		OutboxLetter *letter = list_nth(letters, tried);
		OutboxRedriveResult result;

		CHECK_FOR_INTERRUPTS();
		if (again || tried >= looked)
		{
			OutboxLookForLetters(letters, tried);
			looked = tried + OUTBOX_LOOK_LETTERS;
		}
		result = OutboxRedriveLetter(letter, again);
		again = result == OUTBOX_REDRIVE_LOOK_FIRST;
		MemoryContextReset(context);
		if (again)
			continue;
		if (result == OUTBOX_REDRIVE_NO_ROOM && only_one)
			refuse_more(letter);
		any_publish |= letter->publish;
		redriven += result == OUTBOX_REDRIVE_RESOLVED;
		tried++;
	}
	OutboxKeyEventsForget();
	if (any_publish)
		OutboxTellSinks();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return redriven;
}

static void
refuse_more(const OutboxLetter *letter)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the transaction has redriven %d keys of contracts evaluated at commit, and takes no more", OutboxRedriveRoom()),
			 errdetail("Commits of these keys wait until it ends."),
			 errhint("COMMIT, and then call outbox.redrive(%lld).", (long long) letter->id)));
}

/* discard(id, reason) */
Datum
outbox_discard(PG_FUNCTION_ARGS)
{
	const char *hint = "Say why the event is not needed; outbox.dead_letter keeps the reason.";
	Resolution resolution;

	take_resolution(fcinfo, hint, &resolution);
	if (OutboxExecute("UPDATE outbox_internal.dead_letter_entry SET state = 'discarded', resolution = $2,"
					  " resolved_at = clock_timestamp(), resolved_by = $3"
					  " WHERE id = $1::bigint AND state = 'open' RETURNING id",
					  lengthof(resolution.args), resolution.args) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no open dead letter %s", resolution.args[0]),
				 errhint("SELECT * FROM outbox.dead_letter WHERE state = 'open' lists them.")));
	if (OutboxDropRejected(PG_GETARG_INT64(0)))
		OutboxTellSinks();
	PG_RETURN_VOID();
}

/* resolve_gap(id, reason): somebody has dealt with it. */
Datum
outbox_resolve_gap(PG_FUNCTION_ARGS)
{
	const char *hint = "Say what was done about the gap; outbox.gap keeps the reason.";
	Resolution resolution;

	take_resolution(fcinfo, hint, &resolution);
	if (OutboxExecute("UPDATE outbox_internal.gap SET resolution = $2, resolved_at = clock_timestamp(), resolved_by = $3"
					  " WHERE id = $1::bigint AND resolved_at IS NULL RETURNING id",
					  lengthof(resolution.args), resolution.args) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no open gap %s", resolution.args[0]),
				 errhint("SELECT * FROM outbox.gap WHERE resolved_at IS NULL lists them.")));
	PG_RETURN_VOID();
}

/* Raises when the id or the reason is missing; `hint` says what to give for a reason. */
static void
take_resolution(FunctionCallInfo fcinfo, const char *hint, Resolution *resolution)
{
	const char *reason = OutboxRequiredTextArg(fcinfo, 1, "reason");

	OutboxRequireArg(fcinfo, 0, "id");
	if (reason[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"reason\" must not be empty"),
				 errhint("%s", hint)));
	resolution->args[0] = psprintf(INT64_FORMAT, PG_GETARG_INT64(0));
	resolution->args[1] = reason;
	resolution->args[2] = GetUserNameFromId(GetSessionUserId(), false);
}
