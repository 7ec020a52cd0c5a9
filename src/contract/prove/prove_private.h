/*-------------------------------------------------------------------------
 *
 * prove_private.h
 *	  Shared by the files of contract/prove/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_PROVE_PROVE_PRIVATE_H
#define OUTBOX_CONTRACT_PROVE_PROVE_PRIVATE_H

#include "nodes/plannodes.h"

#include "contract/prove/prove.h"

/* ---- examine_commit.c: A contract that is evaluated at commit, tried on the rows of its root. ---- */

extern void OutboxTryKeys(OutboxCompiledContract *contract, int64 max_rows, OutboxTrialRow function, void *arg);

/* ---- lossy_cast.c: Casts from real to numeric, which keep six digits. ---- */

extern void OutboxRefuseLossyColumn(Node *planned, Oid view, const char *column);
extern void OutboxRefuseLossyPlan(const PlannedStmt *plan, Oid view);

#endif /* OUTBOX_CONTRACT_PROVE_PROVE_PRIVATE_H */
