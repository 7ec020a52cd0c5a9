/*-------------------------------------------------------------------------
 *
 * flush_late.c
 *	  Keys that a commit could not evaluate in time.
 *
 * A commit does not wait: not for a lock, not for a slow view. A key is late
 * when its lock was not free or when the time is over. It is kept as a dead
 * letter of stage flush, in the same transaction, and the relay tries it again
 * when the transaction has ended.
 *
 * The row before is then read without the lock, from what others had committed
 * by then. It goes into the letter, with the snapshot that tells which
 * transactions these were. When the letter is tried again, the events of the key
 * that were committed since are found (redrive_history.c). So it is known what
 * consumers know, and no person has to decide what happened. This reading has a
 * time of its own.
 *
 * Would it be enough to let the relay touch the key again, without the row before?
 * No: it would publish rows that came as changed, rows that went not at all, and
 * wrong previous values. That what is late comes by itself, and that consumers end
 * with the row as it is, rests on this: test/t/053_commit_late.pl,
 * test/t/127_late_states.pl, test/isolation/specs/late_states.spec.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "capture/commit/commit_private.h"
#include "capture/transition/transition.h"
#include "capture/write/write.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/environment/environment.h"
#include "guc.h"
#include "letters/letters.h"

/* The time for it is this part of a commit's. */
#define SHARE 2

/* One attempt to open a contract. */
typedef struct OpenRequest
{
	OutboxFlush *flush;
	OutboxFlushContract *contract;
	bool opened;
} OpenRequest;

/* The letter of a late key in the making. */
typedef struct LateLetter
{
	const OutboxLateKey *key;
	OutboxDeadLetter letter;
} LateLetter;

static bool has_time(OutboxFlush *flush);
static void open_late(OutboxFlush *flush, OutboxFlushContract *contract);
static void open_step(void *arg);
static char *next_step(const OutboxLateKey *key);
static void describe(void *arg);

/* Not all locks were to be had: opens the contracts without those of the keys, as far as that goes at once. */
void
OutboxFlushOpenLate(OutboxFlush *flush)
{
	for (int i = 0; i < flush->ncontracts; i++)
	{
		OutboxFlushContract *contract = &flush->contracts[i];

		if (OutboxFlushContractHasKeys(contract) && contract->cached == NULL && has_time(flush))
			open_late(flush, contract);
	}
}

/* Once per flush there is more of it. */
static bool
has_time(OutboxFlush *flush)
{
	if ((OutboxCommitGuardExpired() || flush->keys_refused) && !flush->extended)
	{
		flush->extended = true;
		OutboxCommitGuardRestart(Max(outbox_flush_timeout / SHARE, 1));
	}
	return !OutboxCommitGuardExpired();
}

/* A table may be locked for a moment by somebody who is in no hurry. */
static void
open_late(OutboxFlush *flush, OutboxFlushContract *contract)
{
	OpenRequest request = {.flush = flush, .contract = contract};
	const ErrorData *reason = contract->late;
	int pause_ms = 1;

	while (!OutboxCommitGuardExpired())
	{
		ErrorData *error;

		OutboxCommitGuardArm();
		error = OutboxRunGuarded(open_step, &request, flush->context);
		OutboxCommitGuardDisarm();
		if (error || request.opened)
			break;
		OutboxLockPause(&pause_ms);
	}
	/* it turns out that nobody wants its keys */
	if (request.opened && contract->compiled == NULL && contract->late == reason)
		contract->late = NULL;
}

static void
open_step(void *arg)
{
	OpenRequest *request = arg;

	request->opened = OutboxFlushContractOpen(request->contract, request->flush->resources);
}

/*
 * Of the keys of a late contract in the portion, reads the rows before that are
 * not known, without the keys' locks, while the time for that lasts.
 */
void
OutboxFlushReadLate(OutboxFlush *flush, OutboxFlushContract *contract, OutboxCommitRead *read)
{
	OutboxReadKey **keys = palloc(sizeof(OutboxReadKey *) * flush->nkeys);
	int nkeys = 0;

	for (int i = 0; i < flush->nkeys; i++)
	{
		OutboxPortionKey *key = &flush->keys[i];

		if (key->contract == contract && OutboxFlushWantsBefore(key) && !key->before_known)
			keys[nkeys++] = &key->read;
	}
	if (nkeys > 0 && has_time(flush) && OutboxReadKeysBefore(read, keys, nkeys) == NULL)
		OutboxFlushNoteBefore(contract, keys, nkeys);
}

/* What the portion's rows before have seen, as a pg_snapshot in CurrentMemoryContext. */
Datum
OutboxFlushSeen(OutboxFlush *flush)
{
	Datum seen;

	PushActiveSnapshot(flush->snapshot);
	seen = DirectFunctionCall1(pg_current_snapshot, (Datum) 0);
	PopActiveSnapshot();
	return seen;
}

/* ---- the letter ------------------------------------------------------------------ */

/* A dead letter of stage flush in the present transaction; raises instead with on_invalid = abort. */
void
OutboxLateLetter(const OutboxLateKey *key)
{
	LateLetter late = {.key = key};
	OutboxDeadLetter *letter = &late.letter;

	if (key->contract->abort_on_invalid)
		ereport(ERROR,
				(errcode(key->reason->sqlerrcode),
				 errmsg("contract \"%s\" refuses the change: %s", key->contract->name, key->reason->message),
				 key->reason->detail ? errdetail("%s", key->reason->detail) : 0,
				 errhint("%s%sThe contract has on_invalid => 'abort'; run the transaction again.",
						 key->reason->hint ? key->reason->hint : "", key->reason->hint ? " " : "")));
	if (OutboxRunGuarded(describe, &late, CurrentMemoryContext))
	{
		letter->key = NULL;
		letter->source_columns = NULL;
		letter->before = NULL;
	}
	letter->contract = key->contract->name;
	letter->version = key->version;
	letter->stage = "flush";
	letter->sqlerrcode = key->reason->sqlerrcode;
	letter->message = key->reason->message ? key->reason->message : "unknown error";
	letter->detail = key->reason->detail;
	letter->hint = next_step(key);
	if (key->before_known && (key->before == NULL || letter->before))
		letter->snapshot = key->snapshot;
	if (key->before_known && key->before == NULL)
		letter->emit = OutboxEmitName(OUTBOX_EMIT_CREATED);
	else if (letter->before)
		letter->emit = OutboxEmitName(OUTBOX_EMIT_CHANGED);
	OutboxDeadLetterInsert(letter);
	OutboxEventCountDeadLetter(key->contract->id);
}

/* Where time alone does not mend it, as a scan for want of an index, the reason says what does. */
static char *
next_step(const OutboxLateKey *key)
{
	if (key->reason->hint == NULL)
		return pstrdup("The relay tries it again by itself.");
	return psprintf("%s The relay tries it again by itself; SELECT outbox.redrive(contract => %s) does so at once.",
					key->reason->hint, quote_literal_cstr(key->contract->name));
}

/* The key and the row before, as JSON. Output functions run as the contract's owner, so it may raise. */
static void
describe(void *arg)
{
	LateLetter *late = arg;
	const OutboxLateKey *key = late->key;
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, OidIsValid(key->contract->owner) ? key->contract->owner : GetUserId(), OUTBOX_ANYTHING);
	late->letter.key = OutboxLookupToJsonb(key->contract->shape->desc, key->lookup);
	late->letter.source_columns = late->letter.key;
	if (key->before)
	{
		Datum *values = palloc(sizeof(Datum) * key->row_desc->natts);
		bool *isnull = palloc(sizeof(bool) * key->row_desc->natts);

		heap_deform_tuple(key->before, key->row_desc, values, isnull);
		late->letter.before = OutboxRowToJsonb(key->row_desc, values, isnull);
	}
	OutboxEvaluationEnd(&evaluation);
}
