/*-------------------------------------------------------------------------
 *
 * redrive_end.c
 *	  The end of a transaction in which letters became events.
 *
 * What was read for them must still be so when the events are out. A row that is
 * there is locked until then, and so is the key of a contract evaluated at commit.
 * Of a row that is gone there is nothing to lock: it is looked for again. And
 * a prepared transaction may stay for days, without the keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile.h"
#include "letters/redrive/redrive_private.h"
#include "util/util.h"

/* In TopTransactionContext: letters of rows that are gone. */
static List *gone = NIL;
static LocalTransactionId redriven_by = InvalidLocalTransactionId;

static void at_transaction_end(XactEvent event, void *arg);
static void check_gone(void);
static bool is_undone(const OutboxLetter *letter);
static void check_letter(const OutboxLetter *letter);

/* The letter became events of the present transaction. */
void
OutboxRedriveNoteEnd(const OutboxLetter *letter)
{
	static bool registered = false;
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

	if (!registered)
		RegisterXactCallback(at_transaction_end, NULL);
	registered = true;
	redriven_by = OutboxLocalTransactionId();
	if (letter->key && OutboxLetterEmit(letter->emit) == OUTBOX_EMIT_DELETED)
	{
		OutboxLetter *copy = palloc0(sizeof(OutboxLetter));

		copy->id = letter->id;
		copy->contract = pstrdup(letter->contract);
		copy->key = (Jsonb *) PG_DETOAST_DATUM_COPY(JsonbPGetDatum(letter->key));
		gone = lappend(gone, copy);
	}
	MemoryContextSwitchTo(caller);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (redriven_by != OutboxLocalTransactionId())
		gone = NIL;
	else if (event == XACT_EVENT_PRE_PREPARE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has redriven dead letters"),
				 errdetail("Its events tell of rows as they are now, and at COMMIT PREPARED they might come after what tells of later changes."),
				 errhint("Call outbox.redrive() in a transaction of its own, and COMMIT that.")));
	else if (event == XACT_EVENT_PRE_COMMIT)
		check_gone();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
	{
		gone = NIL;
		redriven_by = InvalidLocalTransactionId;
	}
}

static void
check_gone(void)
{
	ListCell *lc;

	PushActiveSnapshot(GetLatestSnapshot());
	foreach (lc, gone)
	{
		if (!is_undone(lfirst(lc)))
			check_letter(lfirst(lc));
	}
	PopActiveSnapshot();
}

/* By the rollback of a savepoint. */
static bool
is_undone(const OutboxLetter *letter)
{
	const char *args[] = {psprintf("%lld", (long long) letter->id)};

	return OutboxExecute("SELECT 1 FROM outbox_internal.dead_letter_entry WHERE id = $1::bigint AND state = 'open'", lengthof(args), args) != NULL;
}

/* Of a contract evaluated at commit the key is locked. */
static void
check_letter(const OutboxLetter *letter)
{
	OutboxContractConfig *config = OutboxContractLoad(letter->contract) ? OutboxLetterContract(letter) : NULL;
	OutboxCompiledContract *contract;

	if (config == NULL || config->at_commit)
		return;
	contract = OutboxCompileContract(config, config->root, false);
	if (OutboxLetterRowNow(contract, letter))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("a row of contract \"%s\" came back while its dead letter was redriven", config->name),
				 errdetail("Its event would tell consumers, after the event of the row, that it is gone."),
				 errhint("Call outbox.redrive() again, in a transaction of its own.")));
	OutboxFreeContract(contract);
}
