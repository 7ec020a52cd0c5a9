/*-------------------------------------------------------------------------
 *
 * overtaken.c
 *	  Changes that are captured after a later change of the same key.
 *
 * PostgreSQL changes all rows of a statement and then fires its row triggers.
 * When one of these, of the application, changes rows that the statement has
 * changed, too, that is a statement of its own whose triggers are fired at its
 * end: its changes are captured before those of the statement around it. The
 * event that comes last then says what was, not what is. It is marked as
 * superseded, so that the last event of a key that is not marked is its state.
 *
 * Every change bears the number of its command: a change is overtaken when one
 * of its key with a higher number was captured before. So the keys that
 * triggers of the application change are noted, with their numbers, until the
 * statement around them is over. Few triggers do that; where no other trigger
 * of the table could, nothing is noted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "storage/shmem.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "capture/transition/transition_private.h"

typedef struct Note
{
	OutboxKeyMark key;
	CommandId command;
	SubTransactionId owner;
	int former; /* the note of the same key before this one; -1: none */
} Note;

typedef struct NotedKey
{
	OutboxKeyMark key;
	int last; /* its newest note; -1: all were rolled back */
	char status;
} NotedKey;

#define SH_PREFIX noted
#define SH_ELEMENT_TYPE NotedKey
#define SH_KEY_TYPE OutboxKeyMark
#define SH_KEY key
#define SH_HASH_KEY(table, key) ((uint32) (key))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define FIRST_NOTES 64

/* All of the present transaction's, in a context below TopTransactionContext. */
static struct
{
	MemoryContext context; /* NULL: nothing is noted */
	noted_hash *keys;
	Note *notes;
	int nnotes;
	int size;
	CommandId oldest; /* of the commands whose row triggers were fired inside another statement */
	CommandId newest;
} overtaking;

static bool has_other_triggers(const OutboxRowChange *change);
static void start(CommandId command);
static void forget(void);
static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg);

/* from _PG_init */
void
OutboxOvertakenInit(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/* A row change is about to be captured: must its keys be noted? */
bool
OutboxMayOvertake(const OutboxRowChange *change)
{
	if (change->command == InvalidCommandId)
		return false;
	if (change->trigger_depth < 2)
	{
		/* what was noted inside of earlier statements overtakes nothing any more */
		if (overtaking.context && change->command > overtaking.newest)
			forget();
		return false;
	}
	if (!has_other_triggers(change))
		return false;
	start(change->command);
	return true;
}

/*
 * Only a trigger of the same table can change its rows while changes of them
 * wait for their own triggers; one that checks a foreign key changes nothing.
 * Partitions share a statement, but not their triggers.
 */
static bool
has_other_triggers(const OutboxRowChange *change)
{
	const TriggerDesc *triggers = change->rel->trigdesc;

	if (change->rel->rd_rel->relispartition || triggers == NULL)
		return true;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_AFTER(trigger->tgtype) && TRIGGER_FOR_ROW(trigger->tgtype) &&
			trigger->tgfoid != change->trigger->tgfoid && RI_FKey_trigger_type(trigger->tgfoid) != RI_TRIGGER_FK)
			return true;
	}
	return false;
}

static void
start(CommandId command)
{
	if (overtaking.context == NULL)
	{
		memset(&overtaking, 0, sizeof(overtaking));
		overtaking.oldest = command;
		overtaking.newest = command;
		overtaking.context = AllocSetContextCreate(TopTransactionContext, "outbox overtaking changes", ALLOCSET_DEFAULT_SIZES);
		overtaking.keys = noted_create(overtaking.context, FIRST_NOTES, NULL);
	}
	overtaking.oldest = Min(overtaking.oldest, command);
	overtaking.newest = Max(overtaking.newest, command);
}

/* A key was changed by that command, in the present subtransaction. */
void
OutboxNoteOvertaking(OutboxKeyMark key, CommandId command)
{
	NotedKey *noted;
	bool found;

	if (overtaking.nnotes == overtaking.size)
	{
		int size = Max(overtaking.size * 2, FIRST_NOTES);
		Size bytes = mul_size(sizeof(Note), size);

		overtaking.notes = overtaking.notes ? repalloc_huge(overtaking.notes, bytes)
											: MemoryContextAllocHuge(overtaking.context, bytes);
		overtaking.size = size;
	}
	noted = noted_insert(overtaking.keys, key, &found);
	overtaking.notes[overtaking.nnotes] = (Note){.key = key, .command = command, .owner = GetCurrentSubTransactionId(), .former = found ? noted->last : -1};
	noted->last = overtaking.nnotes++;
}

/* Is there anything noted? If not, nothing was overtaken. */
bool
OutboxAnyOvertaking(void)
{
	return overtaking.context != NULL;
}

/*
 * Has a change of the key by a later command already been captured? changed_again: change->superseded_by is of the row
 * itself.
 *
 * A command whose triggers we have seen speaks for itself: when it has changed the row again, but nothing that the
 * contract shows, the change is not overtaken.  Of others it is enough that the row is another one by now.
 */
bool
OutboxOvertaken(const OutboxRowChange *change, OutboxKeyMark key, bool changed_again)
{
	NotedKey *noted;

	if (changed_again &&
		(overtaking.context == NULL || change->superseded_by < overtaking.oldest || change->superseded_by > overtaking.newest))
		return true;
	if (overtaking.context == NULL || change->command == InvalidCommandId)
		return false;
	noted = noted_lookup(overtaking.keys, key);
	return noted && noted->last >= 0 && overtaking.notes[noted->last].command > change->command;
}

static void
forget(void)
{
	if (overtaking.context)
		MemoryContextDelete(overtaking.context);
	overtaking.context = NULL;
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			/* the memory goes with the transaction's */
			overtaking.context = NULL;
			break;
		default:
			break;
	}
}

/* Subtransactions are numbered as they begin, so the notes of a rolled back one, and of those inside it, come last. */
static void
on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB || overtaking.context == NULL)
		return;
	while (overtaking.nnotes > 0 && overtaking.notes[overtaking.nnotes - 1].owner >= mine)
	{
		const Note *note = &overtaking.notes[--overtaking.nnotes];

		noted_lookup(overtaking.keys, note->key)->last = note->former;
	}
}
