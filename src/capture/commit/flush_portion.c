/*-------------------------------------------------------------------------
 *
 * flush_portion.c
 *	  Reading and capturing a flush's keys, portion by portion.
 *
 * A portion bounds what is in memory: its rows before and after. Both come
 * from one snapshot, contract by contract; then the keys are captured in the
 * order in which they were first touched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "capture/commit/commit_private.h"
#include "capture/transition/transition.h"
#include "capture/write/write.h"

/* Keys per query; fewer after rows of this many bytes. */
#define PORTION_KEYS 512
#define PORTION_BYTES (16 * 1024 * 1024)

static bool fill_portion(OutboxFlush *flush);
static void read_portion(OutboxFlush *flush);
static void read_contract(OutboxFlush *flush, OutboxFlushContract *contract, Snapshot snapshot);
static const ErrorData *read_sides(OutboxFlush *flush, OutboxFlushContract *contract, OutboxCommitRead *read, OutboxReadKey **keys);
static void capture_key(OutboxFlush *flush, OutboxPortionKey *key);
static bool capture_rows(OutboxFlush *flush, OutboxPortionKey *key);
static const ErrorData *side_error(const OutboxFlushContract *contract, const OutboxKeySide *side);
static ErrorData *copy_error(const ErrorData *error);

/* Reads and captures the queue's keys, portion by portion. */
void
OutboxFlushPortions(OutboxFlush *flush)
{
	flush->portion_context = AllocSetContextCreate(flush->context, "outbox flush portion", ALLOCSET_DEFAULT_SIZES);
	flush->portion_size = PORTION_KEYS;
	OutboxKeyQueueStart();
	while (fill_portion(flush))
	{
		MemoryContext caller = MemoryContextSwitchTo(flush->portion_context);

		CHECK_FOR_INTERRUPTS();
		read_portion(flush);
		if (MemoryContextMemAllocated(flush->portion_context, true) > PORTION_BYTES)
			flush->portion_size = Max(flush->portion_size / 4, 1);
		else
			flush->portion_size = Min(flush->portion_size * 2, PORTION_KEYS);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(flush->portion_context);
	}
	OutboxKeyQueueStop();
}

/* Takes the next keys of the queue, of all contracts; false at its end. */
static bool
fill_portion(OutboxFlush *flush)
{
	MemoryContext caller = MemoryContextSwitchTo(flush->portion_context);
	OutboxQueuedKey queued;

	flush->keys = palloc0(sizeof(OutboxPortionKey) * (flush->portion_size + flush->most_versions - 1));
	flush->nkeys = 0;
	while (flush->nkeys < flush->portion_size && OutboxKeyQueueNext(&queued))
	{
		OutboxPortionKey *key = &flush->keys[flush->nkeys++];
		char *image = palloc(queued.image_size);

		memcpy(image, queued.image, queued.image_size);
		key->read.values = palloc(sizeof(Datum) * queued.contract->shape->ncolumns);
		OutboxKeyReadImage(queued.contract->shape, image, key->read.values);
		key->read.hash = queued.hash;
		key->contract = &flush->contracts[queued.contract->index];
		key->inserted = (queued.flags & OUTBOX_KEY_INSERTED) && !key->contract->root_rewritten;
		key->before_known = key->inserted;
		for (OutboxFlushContract *later = key->contract->next; later; later = later->next)
		{
			flush->keys[flush->nkeys] = *key;
			flush->keys[flush->nkeys++].contract = later;
		}
	}
	MemoryContextSwitchTo(caller);
	return flush->nkeys > 0;
}

/* Reads the keys' rows, contract by contract, and then captures them in the order of the queue. */
static void
read_portion(OutboxFlush *flush)
{
	/* The rows may refer to toasted values, which the snapshot keeps in place until they are encoded. */
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());

	flush->snapshot = snapshot;
	for (int i = 0; i < flush->ncontracts; i++)
	{
		flush->contracts[i].portion_keys = 0;
		if (flush->contracts[i].compiled)
			read_contract(flush, &flush->contracts[i], snapshot);
		flush->contracts[i].spent_ns += OutboxClockLap(&flush->lap);
	}
	for (int i = 0; i < flush->nkeys; i++)
	{
		flush->keys[i].contract->portion_keys++;
		flush->keys[i].contract->nkeys++;
		capture_key(flush, &flush->keys[i]);
	}
	OutboxFlushShareTime(flush, true);
	UnregisterSnapshot(snapshot);
}

static void
read_contract(OutboxFlush *flush, OutboxFlushContract *contract, Snapshot snapshot)
{
	OutboxCommitRead read = {.contract = contract->compiled, .shape = contract->queued->shape, .context = flush->portion_context, .snapshot = snapshot, .before = flush->before};
	OutboxReadKey **keys = palloc(sizeof(OutboxReadKey *) * flush->nkeys);

	if (contract->late == NULL)
	{
		const ErrorData *error = read_sides(flush, contract, &read, keys);
		MemoryContext caller = MemoryContextSwitchTo(flush->context);

		if (error)
			contract->late = OutboxCommitGuardExpired() ? flush->expired : copy_error(error);
		MemoryContextSwitchTo(caller);
	}
	if (contract->late)
		OutboxFlushReadLate(flush, contract, &read);
}

/* The rows before and after; NULL, or why the contract is late. `keys` has room for the portion's. */
static const ErrorData *
read_sides(OutboxFlush *flush, OutboxFlushContract *contract, OutboxCommitRead *read, OutboxReadKey **keys)
{
	const ErrorData *error;
	int nkeys = 0;

	for (int i = 0; i < flush->nkeys; i++)
	{
		if (flush->keys[i].contract == contract && OutboxFlushWantsBefore(&flush->keys[i]))
			keys[nkeys++] = &flush->keys[i].read;
	}
	error = OutboxReadKeysBefore(read, keys, nkeys);
	if (error)
		return error;
	OutboxFlushNoteBefore(contract, keys, nkeys);
	nkeys = 0;
	for (int i = 0; i < flush->nkeys; i++)
	{
		if (flush->keys[i].contract == contract)
			keys[nkeys++] = &flush->keys[i].read;
	}
	error = OutboxReadKeysAfter(read, keys, nkeys);
	for (int i = 0; i < nkeys && error == NULL && contract->compiled->key_query; i++)
	{
		if (side_error(contract, &keys[i]->before) && keys[i]->after.nrows == 0 && keys[i]->after.error == NULL)
			OutboxReadFormerKey(read, keys[i]);
	}
	return error;
}

/* Notes which of these keys have a row before that is known now, NULL included. */
void
OutboxFlushNoteBefore(OutboxFlushContract *contract, OutboxReadKey **keys, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
		((OutboxPortionKey *) keys[i])->before_known = side_error(contract, &keys[i]->before) == NULL;
}

/* Is the row before to be read? */
bool
OutboxFlushWantsBefore(const OutboxPortionKey *key)
{
	return !key->inserted && key->contract->unknown == NULL;
}

static void
capture_key(OutboxFlush *flush, OutboxPortionKey *key)
{
	OutboxFlushContract *contract = key->contract;
	OutboxLateKey late = {.contract = contract->queued, .version = contract->version, .lookup = key->read.values, .before_known = key->before_known, .before = key->read.before.row};

	/* whatever becomes of it, what the first version noted of another key is over */
	if (contract->first == NULL && contract->next)
		flush->pairs = (OutboxPairs){.context = flush->portion_context, .first = true};
	else
		flush->pairs.first = false;
	/* dropped, disabled, or without event types */
	if (contract->compiled == NULL && contract->late == NULL)
		return;
	if (contract->late == NULL)
	{
		if (capture_rows(flush, key))
			return;
		contract->late = flush->expired;
	}
	if (contract->compiled)
		late.row_desc = contract->compiled->row_desc;
	else
		late.before = NULL;
	late.reason = contract->late;
	if (key->before_known)
		late.snapshot = OutboxFlushSeen(flush);
	OutboxLateLetter(&late);
}

/* Adds the events of a key, from its rows before and after. False: the timer ran out. */
static bool
capture_rows(OutboxFlush *flush, OutboxPortionKey *key)
{
	OutboxFlushContract *contract = key->contract;
	OutboxKeyRows rows = {.lookup_desc = contract->queued->shape->desc, .lookup = key->read.values, .before = key->read.before.row, .after = key->read.after.row};

	if (contract->first || contract->next)
		rows.pairs = &flush->pairs;
	if (!key->inserted && contract->unknown)
	{
		rows.before_error = contract->unknown;
		OutboxFlushContractRecordGaps(contract);
	}
	else if (!key->inserted)
		rows.before_error = side_error(contract, &key->read.before);
	rows.before_key = key->read.before.key;
	rows.after_error = side_error(contract, &key->read.after);
	return OutboxCaptureKey(contract->compiled, &rows);
}

static const ErrorData *
side_error(const OutboxFlushContract *contract, const OutboxKeySide *side)
{
	if (side->error)
		return side->error;
	if (side->nrows <= 1)
		return NULL;
	return OutboxFlushError(ERRCODE_CARDINALITY_VIOLATION,
							psprintf("contract \"%s\" returned %d rows", contract->queued->name, side->nrows),
							"Let the view show one row per key.");
}

/* An error of our own, in CurrentMemoryContext. */
ErrorData *
OutboxFlushError(int sqlerrcode, char *message, char *hint)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = sqlerrcode;
	error->message = message;
	error->hint = hint;
	return error;
}

static ErrorData *
copy_error(const ErrorData *error)
{
	ErrorData *copy = OutboxFlushError(error->sqlerrcode, pstrdup(error->message ? error->message : "unknown error"), NULL);

	copy->detail = error->detail ? pstrdup(error->detail) : NULL;
	copy->hint = error->hint ? pstrdup(error->hint) : NULL;
	return copy;
}

/* Shares the time since the last lap among the contracts: in equal parts, or by their keys in the portion. */
void
OutboxFlushShareTime(OutboxFlush *flush, bool by_keys)
{
	uint64 ns = OutboxClockLap(&flush->lap);

	for (int i = 0; i < flush->ncontracts; i++)
	{
		OutboxFlushContract *contract = &flush->contracts[i];

		if (!by_keys)
			contract->spent_ns += ns / flush->ncontracts;
		else if (flush->nkeys > 0)
			contract->spent_ns += ns * contract->portion_keys / flush->nkeys;
	}
}
