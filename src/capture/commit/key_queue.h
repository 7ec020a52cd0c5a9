/*-------------------------------------------------------------------------
 *
 * key_queue.h
 *	  The lookup keys that this transaction touched, of contracts evaluated
 *	  at commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_QUEUE_H
#define OUTBOX_KEY_QUEUE_H

#include "capture/commit/lookup_key.h"
#include "catalog/contract_config.h"

/* A contract with keys in the queue; lives as long as the transaction. */
typedef struct OutboxQueuedContract
{
	int index;
	int32 id; /* of the configuration that the keys were queued for */
	char *name;
	uint64 lock_class; /* of its aggregate type */
	OutboxKeyShape *shape;
	bool abort_on_invalid;
	Oid owner;       /* as whom it was compiled last; InvalidOid: it never was */
	List *relations; /* and the OIDs that it reads */
} OutboxQueuedContract;

/* The transaction's first touch of the key was the root's INSERT: there was no row before. */
#define OUTBOX_KEY_INSERTED 0x0001

typedef struct OutboxQueuedKey
{
	OutboxQueuedContract *contract;
	int flags;
	uint64 hash;
	const char *image; /* until the next key is taken */
	Size image_size;
} OutboxQueuedKey;

/* The contract's place in the queue of this transaction. */
extern OutboxQueuedContract *OutboxKeyQueueContract(const OutboxContractConfig *config, TupleDesc lookup_desc);

/* Remembers of the compiled contract what the flush needs to know before it can compile again. */
extern void OutboxKeyQueueNoteRelations(OutboxQueuedContract *contract, Oid owner, const List *relations);

/*
 * Queues a key, unless it is there already, with the present subtransaction.
 * No query, no snapshot. Detoasts in CurrentMemoryContext.
 */
extern void OutboxKeyQueueAdd(OutboxQueuedContract *contract, const Datum *values, int flags);

extern bool OutboxKeyQueueIsEmpty(void);

/* The queue's keys; duplicates after a spill included. */
extern uint64 OutboxKeyQueueCount(void);

/* All contracts of this transaction, by index. */
extern int OutboxKeyQueueContracts(OutboxQueuedContract ***contracts);

/* What our own commands before this one did counts as done before: see flush.c. */
extern CommandId OutboxKeyQueueBefore(void);

/*
 * Walks through the keys in the order of their first touch, every one once.
 * Several walks may follow each other; nothing is queued during one. `Scan`
 * starts a walk that may show a key twice and costs no sort.
 */
extern void OutboxKeyQueueStart(void);
extern void OutboxKeyQueueScan(void);
extern bool OutboxKeyQueueNext(OutboxQueuedKey *key);
extern void OutboxKeyQueueStop(void);

/* The keys are done; what comes next is compared with the state at this command. */
extern void OutboxKeyQueueFlushed(CommandId before);

/* The end of a subtransaction at this nest level. */
extern void OutboxKeyQueuePromote(int nest_level);
extern void OutboxKeyQueueDrop(int nest_level);

/* Before the transaction commits, which would warn of an open file. */
extern void OutboxKeyQueueCloseFile(void);

/* The end of the transaction: its memory goes away by itself. */
extern void OutboxKeyQueueForget(void);

#endif /* OUTBOX_KEY_QUEUE_H */
