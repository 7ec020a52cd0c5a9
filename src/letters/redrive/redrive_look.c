/*-------------------------------------------------------------------------
 *
 * redrive_look.c
 *	  The newest events of letters' keys are looked for together.
 *
 * Late letters, and letters of a contract that did not work, ask for the newest
 * event of their key, which takes a reading of the outbox (redrive_events.c). So
 * before the first letter is tried, and with no key locked, the keys of all letters
 * to come are found out and looked for in one reading.
 *
 * The key follows from the letter's lookup key or its row before. When an attempt
 * asks for another key in the end, because the key of the row has changed, the
 * missed key is noted, and there is another reading with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "letters/redrive/redrive_private.h"
#include "util/util.h"

/* Readings that a person waits for when hints are lost on the way. */
#define READINGS 3

typedef struct Survey
{
	const OutboxLetter *letter;
	MemoryContext context;
	List *wanted;
} Survey;

static List *survey(List *letters, int first, List *wanted, TimestampTz start, int ms);
static void survey_step(void *arg);
static bool asks(const OutboxLetter *letter);
static void find_key(Survey *survey, OutboxCompiledContract *contract);
static void want(Survey *survey, OutboxCompiledContract *contract, HeapTuple row);
static bool all_known(const List *wanted);

/*
 * Looks for the keys that the letters from this one on will ask for, and for the key that the last attempt has missed.
 * For a person, who waits for it. May raise.
 */
void
OutboxLookForLetters(List *letters, int first)
{
	for (int i = 0; i < READINGS; i++)
	{
		OutboxWantedKey *key = OutboxTakeMissedKey();
		List *wanted = survey(letters, first, key ? list_make1(key) : NIL, 0, 0);

		if (all_known(wanted))
			return;
		OutboxKeyEventsStart(wanted);
		if (OutboxKeyEventsRead(0))
			return;
	}
}

/*
 * Looks for the keys of all late letters, within that time, for a relay. False: the time was over. It goes on at the next
 * call, and no letter should be tried before. May raise.
 */
bool
OutboxLookForLate(List *letters, int first, int ms)
{
	TimestampTz start = GetCurrentTimestamp();
	OutboxWantedKey *key = OutboxTakeMissedKey();
	List *wanted = survey(letters, first, key ? list_make1(key) : NIL, 0, 0);

	if (all_known(wanted))
		return true;
	wanted = survey(OutboxSeeLateLetters(OUTBOX_LOOK_LETTERS), 0, wanted, start, ms);
	OutboxKeyEventsStart(wanted);
	return OutboxKeyEventsRead(Max(ms / 2, 1));
}

/* Collects the keys. A letter that cannot be understood is left out: it fails when it is tried, and says why. */
static List *
survey(List *letters, int first, List *wanted, TimestampTz start, int ms)
{
	Survey survey = {.context = CurrentMemoryContext, .wanted = wanted};
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "outbox survey of letters", ALLOCSET_DEFAULT_SIZES);

	for (int i = first; i < Min(list_length(letters), first + OUTBOX_LOOK_LETTERS); i++)
	{
		CHECK_FOR_INTERRUPTS();
		survey.letter = list_nth(letters, i);
		if (ms > 0 && TimestampDifferenceExceeds(start, GetCurrentTimestamp(), ms))
			break;
		if (!asks(survey.letter))
			continue;
		MemoryContextSwitchTo(scratch);
		(void) OutboxRunIsolated(survey_step, &survey, scratch);
		MemoryContextSwitchTo(survey.context);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
	return survey.wanted;
}

/* Will the letter ask for the newest event, as far as it says? */
static bool
asks(const OutboxLetter *letter)
{
	if (letter->event_type || letter->publish || letter->source_columns == NULL)
		return false;
	return letter->late || (letter->before == NULL && OutboxLetterEmit(letter->emit) != OUTBOX_EMIT_CREATED);
}

static void
survey_step(void *arg)
{
	Survey *survey = arg;
	OutboxLook look = {0};
	OutboxCachedContract *cached;
	OutboxContractConfig *config = OutboxLetterContract(survey->letter);

	if (config == NULL)
		return;
	/* no lock that compiling takes is kept when a key is waited for */
	OutboxLookEnter(&look, CurrentResourceOwner);
	cached = OutboxContractAcquireLineByName(config->name, OutboxVersionLine(config));
	PG_TRY();
	{
		/* per row the letters that have a key do not ask */
		if (!config->at_commit && survey->letter->key)
			;
		else if (cached->state == OUTBOX_CONTRACT_READY)
			find_key(survey, cached->compiled);
		else
			find_key(survey, OutboxCompileContract(config, config->root, false));
	}
	PG_FINALLY();
	{
		OutboxContractRelease(cached);
	}
	PG_END_TRY();
	OutboxLookLeave(&look);
	OutboxLookClose(&look);
}

static void
find_key(Survey *survey, OutboxCompiledContract *contract)
{
	const OutboxLetter *letter = survey->letter;
	TupleDesc desc = contract->query ? contract->query->lookup_desc : NULL;
	Datum *lookup;
	bool *isnull;
	HeapTuple row;

	if (desc == NULL)
	{
		want(survey, contract, OutboxRedriveSourceKey(contract, letter->source_columns));
		return;
	}
	lookup = palloc(sizeof(Datum) * desc->natts);
	isnull = palloc(sizeof(bool) * desc->natts);
	OutboxReadLetterRow(contract, desc, letter->source_columns, lookup, isnull);
	row = OutboxRedriveKeyRow(contract, lookup);
	want(survey, contract, row ? row : OutboxLetterRowBefore(contract, letter));
}

/* row = NULL: the attempt will tell the key. */
static void
want(Survey *survey, OutboxCompiledContract *contract, HeapTuple row)
{
	MemoryContext caller;
	OutboxWantedKey *wanted;

	if (row == NULL)
		return;
	caller = MemoryContextSwitchTo(survey->context);
	wanted = palloc(sizeof(OutboxWantedKey));
	wanted->contract = pstrdup(survey->letter->contract);
	wanted->line = contract->config->line;
	wanted->decode = !OutboxMessageKeyIsKey(contract);
	wanted->snapshot = survey->letter->snapshot ? pstrdup(survey->letter->snapshot) : NULL;
	wanted->key = OutboxEventKey(contract, row);
	survey->wanted = lappend(survey->wanted, wanted);
	MemoryContextSwitchTo(caller);
}

static bool
all_known(const List *wanted)
{
	ListCell *lc;

	foreach (lc, wanted)
	{
		if (!OutboxKeyEventsKnown(((OutboxWantedKey *) lfirst(lc))->key))
			return false;
	}
	return true;
}
