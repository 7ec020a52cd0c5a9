/*-------------------------------------------------------------------------
 *
 * prove.h
 *	  What a view may be, and what it makes of the rows that are there.
 *
 * Whether its key is unique is judged by one room below this one, contract/keys/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_PROVE_PROVE_H
#define OUTBOX_CONTRACT_PROVE_PROVE_H

#include "nodes/pg_list.h"

#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/keys/keys.h"

/* ---- examine.c: What capture would make of a row, without making it. ---- */

/* What came out of a row, for the contract (mapping) or for one event type. */
typedef struct OutboxFinding
{
	/* trouble; stage NULL: none */
	const char *stage; /* map, condition, check, encode, size */
	int sqlerrcode;
	const char *message;
	const char *class; /* the message without its values: what makes two troubles the same */

	Jsonb *source_key; /* of a row without a contract row: its lookup columns; NULL: see contract->key_row */

	/* the result */
	bool concerned; /* false: the condition keeps the event type out */
	text *key;
	Jsonb *payload;
	char **headers; /* values of the event type's header columns, as OutboxHeaderValues() gives them; NULL: not known */
} OutboxFinding;

extern bool OutboxExamineRow(OutboxCompiledContract *contract, TupleTableSlot *source, OutboxFinding *finding);
extern void OutboxExamineEvent(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
							   bool conditions, OutboxFinding *finding);

/* ---- fault_list.c: All faults of something that is checked, in one error. ---- */

typedef struct OutboxFaultList
{
	List *errors; /* of ErrorData *, no two with the same message */
} OutboxFaultList;

extern bool OutboxTryCheck(OutboxFaultList *faults, OutboxGuardedStep check, void *arg);
extern void OutboxRaiseFaults(const OutboxFaultList *faults, const char *subject);

/* ---- schema_fault.c: Does a contract's view still give the schemas that are pinned? ---- */

extern void OutboxCheckFills(const OutboxContractConfig *config);
extern void OutboxCheckReads(const OutboxContractConfig *config);

/* ---- try_contract.c: A contract tried on the rows of its source. ---- */

/*
 * Told what became of a row of the source: it is in the view (contract->after), it
 * is not, or finding->stage says what is wrong. The function may overwrite the
 * finding. It returns whether the row counts.
 */
typedef bool (*OutboxTrialRow)(void *arg, OutboxCompiledContract *contract, bool in_view, OutboxFinding *finding);

extern void OutboxTryContract(OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function, void *arg);

/* ---- view_check.c: May this view be a contract? ---- */

extern void OutboxCheckRequiredNames(const OutboxContractConfig *config);
extern void OutboxCheckContractView(OutboxContractConfig *config, const char **evaluate, List **key_columns);

#endif /* OUTBOX_CONTRACT_PROVE_PROVE_H */
