/*-------------------------------------------------------------------------
 *
 * keys_private.h
 *	  Shared by the files of contract/keys/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_KEYS_KEYS_PRIVATE_H
#define OUTBOX_CONTRACT_KEYS_KEYS_PRIVATE_H

#include "utils/relcache.h"

#include "contract/keys/keys.h"

/* ---- key.c: Proving that a contract's key is unique. ---- */

/* How close an index came, for the message. */
typedef enum OutboxIndexVerdict
{
	INDEX_UNSUITABLE,  /* not unique, deferrable, invalid, over expressions */
	INDEX_NOT_COVERED, /* has columns that the key does not read */
	INDEX_NULLABLE,    /* covered, but a column may be NULL */
	INDEX_PARTIAL,     /* covered, but the view may have rows that are not in it */
	INDEX_PROVES
} OutboxIndexVerdict;

/* A key, for the judgement of indexes. */
typedef struct OutboxKeyFacts
{
	Oid root;
	const List *reads;      /* names of the root's columns that it reads */
	const List *conditions; /* that all rows in the view fulfil, over entry 1 as the root */
} OutboxKeyFacts;

extern bool OutboxIsUnique(Oid root, const List *reads, const List *conditions);
extern OutboxIndexVerdict OutboxJudgeIndex(Relation table, Relation index, const OutboxKeyFacts *facts, List **columns);

/* ---- key_report.c: What is missing for a proof. ---- */

extern char *OutboxKeyNames(const List *names);
extern void OutboxReportUnproven(Relation root, OutboxIndexVerdict best, const List *key, const List *nullable);

#endif /* OUTBOX_CONTRACT_KEYS_KEYS_PRIVATE_H */
