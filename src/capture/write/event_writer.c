/*-------------------------------------------------------------------------
 *
 * event_writer.c
 *	  Appends events to the outbox in somebody else's transaction.
 *
 * An append gives the event its identity and order and puts its row into the
 * buffer.  The rows reach the leaf when the buffer is full and before the
 * transaction commits or is prepared; then the relays learn where to look,
 * and at commit that they should.  Whatever another library appends even
 * later, in a pre-commit callback after ours, is written at once.
 *
 * The installation is looked up again in every command: a transaction may
 * drop and create the extension, or alter its sequence, between two appends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "capture/write/write_private.h"
#include "catalog/outbox_catalog.h"
#include "shared/outbox_shared.h"

/* What one nest level did for one contract and schema (0: dead letters); a stack, as the buffer is. */
typedef struct LevelCount
{
	int32 contract_id;
	int32 schema_id;
	int nest_level;
	uint64 events;
	uint64 dead_letters;
} LevelCount;

/* This transaction. */
static struct
{
	bool active;             /* something was appended or counted: the callbacks have work */
	bool bound;              /* the sequence is locked */
	bool finishing;          /* our pre-commit callback has run */
	CommandId bound_command; /* the command in which the installation was looked up */
	Oid installation;
	uint64 xid;         /* 0 = nothing appended */
	LevelCount *counts; /* in TopTransactionContext */
	int ncounts;
	int capacity;
} writer;

static OutboxSequence event_seq;

static bool bind_installation(void);
static void count(int32 contract_id, int32 schema_id, uint64 events, uint64 dead_letters);
static void write_rows(void);
static void push_hints(void);
static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId mine,
							  SubTransactionId parent, void *arg);

/* from _PG_init */
void
OutboxEventWriterInit(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/*
 * Adds an event to the current (sub)transaction. It is buffered: the rows
 * reach the leaf in batches, at the latest before commit or prepare, and
 * disappear with the subtransaction that added them. Assigns id, seq, xid and
 * occurred_at now, so that the order is that of the calls.
 */
void
OutboxEventAppend(const OutboxEvent *event)
{
	Datum values[Natts_event];
	bool isnull[Natts_event] = {0};
	pg_uuid_t id;
	TimestampTz now = GetCurrentTimestamp();
	bool full;

	if (writer.xid == 0)
		writer.xid = U64FromFullTransactionId(GetTopFullTransactionId());
	writer.active = true;
	if (!bind_installation())
		(void) OutboxRelationOid("event_seq"); /* raises: there is no outbox to write to */
	OutboxEventId(&id, now);
	if (event->id)
		*event->id = id;

	values[Anum_event_seq - 1] = Int64GetDatum(OutboxSequenceNext(&event_seq));
	values[Anum_event_xid - 1] = UInt64GetDatum(writer.xid);
	values[Anum_event_occurred_at - 1] = TimestampTzGetDatum(now);
	values[Anum_event_id - 1] = UUIDPGetDatum(&id);
	values[Anum_event_schema_id - 1] = Int32GetDatum(event->schema_id);
	values[Anum_event_leaf - 1] = Int16GetDatum(0);
	values[Anum_event_flags - 1] = Int16GetDatum(event->flags);
	values[Anum_event_aggregatetype - 1] = PointerGetDatum(event->aggregatetype);
	values[Anum_event_aggregateid - 1] = PointerGetDatum(event->aggregateid);
	values[Anum_event_type - 1] = PointerGetDatum(event->type);
	values[Anum_event_payload - 1] = PointerGetDatum(event->payload);
	isnull[Anum_event_payload - 1] = event->payload == NULL;
	values[Anum_event_tracingspancontext - 1] = PointerGetDatum(event->tracingspancontext);
	isnull[Anum_event_tracingspancontext - 1] = event->tracingspancontext == NULL;
	values[Anum_event_headers - 1] = PointerGetDatum(event->headers);
	isnull[Anum_event_headers - 1] = event->headers == NULL;

	full = OutboxEventBufferAdd(GetCurrentTransactionNestLevel(), values, isnull);
	count(event->contract_id, event->schema_id, 1, 0);
	if (writer.finishing)
	{
		write_rows();
		push_hints();
	}
	else if (full)
		write_rows();
}

/* Writes the buffered rows of this (sub)transaction now: the next command sees them. */
void
OutboxEventWriteRows(void)
{
	if (writer.active)
		write_rows();
}

/* Counts a dead letter of this contract for this transaction. */
void
OutboxEventCountDeadLetter(int32 contract_id)
{
	writer.active = true;
	count(contract_id, 0, 0, 1);
}

/* Finds the outbox of this database, once per command; false when there is none. */
static bool
bind_installation(void)
{
	CommandId command = GetCurrentCommandId(false);
	Oid installation;

	if (likely(writer.bound && writer.bound_command == command))
		return true;
	installation = OutboxInstallation();
	if (!OidIsValid(installation))
	{
		writer.bound = false;
		return false;
	}
	OutboxSequenceBind(&event_seq, installation, !writer.bound || writer.installation != installation);
	OutboxEventBufferBind(installation);
	writer.installation = installation;
	writer.bound_command = command;
	writer.bound = true;
	return true;
}

/* Writes the rows of the current nest level. */
static void
write_rows(void)
{
	int nest_level = GetCurrentTransactionNestLevel();

	if (bind_installation())
		OutboxEventBufferFlush(nest_level);
	else
		OutboxEventBufferDrop(nest_level); /* this transaction dropped the extension */
}

static void
push_hints(void)
{
	OutboxHint *hints;
	int n = OutboxHintRuns(&hints);

	for (int i = 0; i < n; i++)
		hints[i].xid = writer.xid;
	if (n > 0)
		OutboxHintsPush(hints, n);
	else
		OutboxWakePrepare(); /* there may be something to count all the same */
	OutboxHintRunsForget();
}

/* ---- counters --------------------------------------------------------------- */

static void
count(int32 contract_id, int32 schema_id, uint64 events, uint64 dead_letters)
{
	int nest_level = GetCurrentTransactionNestLevel();
	LevelCount *level;

	for (int i = writer.ncounts - 1; i >= 0 && writer.counts[i].nest_level == nest_level; i--)
	{
		level = &writer.counts[i];
		if (level->contract_id == contract_id && level->schema_id == schema_id)
		{
			level->events += events;
			level->dead_letters += dead_letters;
			return;
		}
	}
	if (writer.ncounts == writer.capacity)
	{
		int capacity = Max(writer.capacity * 2, 8);

		if (writer.counts == NULL)
			writer.counts = MemoryContextAlloc(TopTransactionContext, capacity * sizeof(LevelCount));
		else
			writer.counts = repalloc(writer.counts, capacity * sizeof(LevelCount));
		writer.capacity = capacity;
	}
	writer.counts[writer.ncounts++] = (LevelCount){
		.contract_id = contract_id, .schema_id = schema_id, .nest_level = nest_level, .events = events, .dead_letters = dead_letters};
}

/* Merges the level into its parent, so that the stack stays as small as schemas times depth. */
static void
promote_counts(int nest_level)
{
	int first = writer.ncounts;
	int parent;
	int kept;

	while (first > 0 && writer.counts[first - 1].nest_level >= nest_level)
		first--;
	parent = first;
	while (parent > 0 && writer.counts[parent - 1].nest_level == nest_level - 1)
		parent--;
	kept = first;
	for (int i = first; i < writer.ncounts; i++)
	{
		LevelCount level = writer.counts[i];
		int j;

		for (j = parent; j < kept; j++)
		{
			if (writer.counts[j].contract_id == level.contract_id && writer.counts[j].schema_id == level.schema_id)
				break;
		}
		if (j == kept)
		{
			level.nest_level = nest_level - 1;
			writer.counts[kept++] = level;
		}
		else
		{
			writer.counts[j].events += level.events;
			writer.counts[j].dead_letters += level.dead_letters;
		}
	}
	writer.ncounts = kept;
}

static void
drop_counts(int nest_level)
{
	while (writer.ncounts > 0 && writer.counts[writer.ncounts - 1].nest_level >= nest_level)
		writer.ncounts--;
}

/* ---- transactions ----------------------------------------------------------- */

/* Never raises: runs after the commit record. */
static void
announce(void)
{
	for (int i = 0; i < writer.ncounts; i++)
	{
		const LevelCount *level = &writer.counts[i];

		OutboxCountCaptured(level->contract_id, level->events, level->dead_letters);
		OutboxCountSchema(level->schema_id, level->events);
	}
	if (writer.xid != 0)
		OutboxWakeRelays();
}

static void
forget_transaction(void)
{
	OutboxEventBufferReset();
	OutboxHintRunsForget();
	memset(&writer, 0, sizeof(writer));
}

/*
 * COMMIT PREPARED runs no callback here: prepared events count as captured
 * when they are prepared, and the relays find them at their next poll.
 */
static void
on_transaction(XactEvent event, void *arg)
{
	if (!writer.active)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			write_rows();
			push_hints();
			writer.finishing = true;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			announce();
			forget_transaction();
			break;
		case XACT_EVENT_ABORT:
			forget_transaction();
			break;
		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int nest_level = GetCurrentTransactionNestLevel();

	if (!writer.active)
		return;
	switch (event)
	{
		case SUBXACT_EVENT_PRE_COMMIT_SUB:
			if (OutboxEventBufferCrowded())
				write_rows();
			break;
		case SUBXACT_EVENT_COMMIT_SUB:
			OutboxEventBufferPromote(nest_level);
			promote_counts(nest_level);
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			OutboxEventBufferDrop(nest_level);
			drop_counts(nest_level);
			/* it may have undone a change of the installation */
			writer.bound = false;
			break;
		default:
			break;
	}
}
