/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  What DDL does to live contracts, judged when it is committed.
 *
 * A view that is dropped or altered, a type inside it, a function, a right of its
 * owner: from then on every event would be a dead letter. Columns may swap their
 * names, and an index or a NOT NULL behind the key may go: then two rows may
 * silently have one key. So the migration that does it fails, in its own COMMIT. By
 * then it may have put things right again, so only the result counts.
 *
 * An event trigger notes before the command which contracts it may concern
 * (targets.c, concern.c), and what is wrong with them already (look.c). judge.c
 * looks at the noted contracts again before the transaction commits or is prepared.
 * ROLLBACK TO needs no undo: looking again is harmless. A contract that another
 * session enables while the command waits for its lock is found then, by what the
 * commands named.
 *
 * Our own trouble never stops a migration (trouble.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/event_trigger.h"
#include "fmgr.h"
#include "tcop/cmdtag.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "ddl/check/check_private.h"
#include "guc.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_source_changes);

/* A command that is about to run. */
typedef struct Command
{
	const Node *parsetree;
	const char *tag;
} Command;

/* The lists are in TopTransactionContext; between transactions all is empty. */
static List *contracts = NIL;          /* of OutboxWatchedContract * */
static OutboxDdlTargets targets = {0}; /* of all commands */
static uint64 revision = 0;            /* of the live contracts when they were asked for last */
static const char *overlooked = NULL;  /* a command of which it is not known what it concerns */

static void note_step(void *arg);
static void keep_targets(const OutboxDdlTargets *found);
static void note_contract(const OutboxLiveContract *live, const char *command, const char *object);
static void tell_unseen(const OutboxWatchedContract *watched, const OutboxContractLook *look);
static OutboxWatchedContract *watched_contract(const char *name);
static OutboxWatchedContract *watch(const char *name, Oid source, const char *command);
static void watch_live(const OutboxLiveContract *live, const char *command, OutboxAspectState before);
static void note_later(void *arg);
static void note_all(void *arg);
static void expect_end(void);
static void at_transaction_end(XactEvent event, void *arg);
static void at_end(void);

/* outbox_internal.source_changes(): ON ddl_command_start. */
Datum
outbox_source_changes(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigger;
	Command command;
	ErrorData *error;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.source_changes() was not called as its event trigger")));
	trigger = (EventTriggerData *) fcinfo->context;
	if (!OutboxMayHaveTargets(trigger->parsetree))
		PG_RETURN_NULL();
	expect_end();
	command = (Command){.parsetree = trigger->parsetree, .tag = GetCommandTagName(trigger->tag)};
	error = OutboxCheckBriefly(note_step, &command);
	if (error)
	{
		OutboxTellTrouble(command.tag, NULL, error);
		overlooked = command.tag;
	}
	PG_RETURN_NULL();
}

static void
note_step(void *arg)
{
	const Command *command = arg;
	OutboxDdlTargets found = {0};
	ListCell *lc;

	OutboxFindTargets(command->parsetree, &found);
	if (found.objects == NIL && found.names == NIL && !found.all)
		return;
	if (OidIsValid(found.renamed))
		OutboxNoteRenamed(found.renamed);
	if (outbox_ddl_check == OUTBOX_DDL_CHECK_OFF)
		return;
	foreach (lc, OutboxConcernedContracts(&found))
		note_contract(lfirst(lc), command->tag, found.first);
	keep_targets(&found);
}

/* Remembers what was named, in case that a contract is enabled meanwhile. */
static void
keep_targets(const OutboxDdlTargets *found)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	ListCell *lc;

	revision = OutboxLiveRevision();
	foreach (lc, found->objects)
		targets.objects = lappend(targets.objects, memcpy(palloc(sizeof(ObjectAddress)), lfirst(lc), sizeof(ObjectAddress)));
	foreach (lc, found->names)
		targets.names = lappend(targets.names, pstrdup(lfirst(lc)));
	targets.all |= found->all;
	MemoryContextSwitchTo(caller);
}

/*
 * A fault that was found is looked at again: the transaction, or the rollback to a savepoint, may have put right what was
 * missing.
 */
static void
note_contract(const OutboxLiveContract *live, const char *command, const char *object)
{
	OutboxWatchedContract *known = watched_contract(live->name);
	OutboxContractLook look = {.name = live->name};
	bool first = known == NULL;
	bool fine = !first;

	for (OutboxAspect aspect = 0; known && aspect < OUTBOX_ASPECTS; aspect++)
		fine &= known->before[aspect] == OUTBOX_ASPECT_FINE;
	if (fine)
		return;
	if (known == NULL)
	{
		watch_live(live, command, OUTBOX_ASPECT_MOOT);
		known = watched_contract(live->name);
		known->object = object ? MemoryContextStrdup(TopTransactionContext, object) : NULL;
	}
	OutboxLookAtContract(&look);
	if (look.config)
		known->id = look.config->id;
	/* what a command of this transaction took was there before */
	known->gone = look.gone && (first || known->gone);
	tell_unseen(known, &look);
	for (OutboxAspect aspect = 0; aspect < OUTBOX_ASPECTS; aspect++)
		known->before[aspect] = Max(known->before[aspect], look.states[aspect]);
}

/* What was not seen before the command is told at once: nobody knows then whether the command broke it. */
static void
tell_unseen(const OutboxWatchedContract *watched, const OutboxContractLook *look)
{
	for (OutboxAspect aspect = 0; aspect < OUTBOX_ASPECTS; aspect++)
	{
		if (look->states[aspect] != OUTBOX_ASPECT_UNSEEN)
			continue;
		OutboxTellTrouble(watched->command, watched->name, look->errors[aspect]);
		return;
	}
}

static OutboxWatchedContract *
watched_contract(const char *name)
{
	ListCell *lc;

	foreach (lc, contracts)
	{
		if (strcmp(((OutboxWatchedContract *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

/* Watches a contract from now on. Nothing of it is judged unless the caller says what was fine. */
static OutboxWatchedContract *
watch(const char *name, Oid source, const char *command)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	OutboxWatchedContract *watched = palloc0(sizeof(OutboxWatchedContract));

	watched->name = pstrdup(name);
	watched->source = source;
	watched->command = command;
	contracts = lappend(contracts, watched);
	MemoryContextSwitchTo(caller);
	return watched;
}

static void
watch_live(const OutboxLiveContract *live, const char *command, OutboxAspectState before)
{
	OutboxWatchedContract *watched = watch(live->name, linitial_oid(live->relations), command);
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

	watched->names = list_concat(OutboxFormerNames(live->views), OutboxFormerNames(live->relations));
	for (OutboxAspect aspect = 0; aspect < OUTBOX_ASPECTS; aspect++)
		watched->before[aspect] = before;
	MemoryContextSwitchTo(caller);
}

/*
 * An OutboxGuardedStep: contracts that another session enabled since the commands. A command waited behind that session's
 * lock on the table. That session has proven the contract, with what was dropped afterwards.
 */
static void
note_later(void *arg)
{
	ListCell *lc;

	foreach (lc, OutboxConcernedContracts(&targets))
	{
		const OutboxLiveContract *live = lfirst(lc);

		if (watched_contract(live->name) == NULL)
			watch_live(live, "DDL", OUTBOX_ASPECT_FINE);
	}
}

/* An OutboxGuardedStep: nobody knows which contracts were concerned. */
static void
note_all(void *arg)
{
	ListCell *lc;

	foreach (lc, OutboxLiveContracts())
	{
		const OutboxLiveContract *live = lfirst(lc);

		if (watched_contract(live->name) == NULL)
			watch_live(live, overlooked, OUTBOX_ASPECT_UNSEEN);
	}
}

/*
 * A partition came to a source of the contract. It is judged at the end of the transaction, when its index may have
 * followed. A key that is not proven then leaves a gap, "unseen", and no error: the command may be that of a nightly
 * job, and the writes after it need the partition.
 */
void
OutboxWatchPartition(const OutboxContractConfig *config)
{
	if (outbox_ddl_check == OUTBOX_DDL_CHECK_OFF)
		return;
	expect_end();
	if (watched_contract(config->name))
		return;
	watch(config->name, config->root, "ALTER TABLE")->before[OUTBOX_ASPECT_KEY] = OUTBOX_ASPECT_UNSEEN;
}

static void
expect_end(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(at_transaction_end, NULL);
	registered = true;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			at_end();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			contracts = NIL;
			memset(&targets, 0, sizeof(targets));
			overlooked = NULL;
			OutboxForgetRenamed();
			OutboxForgetTroubles();
			OutboxCheckTransactionEnded();
			break;
		default:
			break;
	}
}

/* Judges what was noted, if anything was. */
static void
at_end(void)
{
	ErrorData *error;

	bool later = (targets.objects || targets.names || targets.all) && !OutboxLiveIsStill(revision);

	/* mostly the commands were those of others, and nothing has changed since */
	if (contracts == NIL && !later && overlooked == NULL && !OutboxHasRenamed())
		return;
	/* DROP INDEX CONCURRENTLY commits while its first step is not visible yet */
	CommandCounterIncrement();
	/* the extension was dropped */
	if (!OidIsValid(OutboxInstallation()))
		return;
	error = overlooked || later ? OutboxCheckBriefly(overlooked ? note_all : note_later, NULL) : NULL;
	if (error)
		OutboxTellTrouble(overlooked, NULL, error);
	if (contracts)
		OutboxJudgeContracts(contracts);
	OutboxJudgeRenamed();
	OutboxKeepTroubles();
}
