/*-------------------------------------------------------------------------
 *
 * examine_commit.h
 *	  A contract that is evaluated at commit, tried on the rows of its root.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_COMMIT_TRIAL_H
#define OUTBOX_COMMIT_TRIAL_H

#include "contract/compile/compile.h"
#include "contract/prove/examine.h"

/*
 * What became of a row of the root: it is in the view (contract->after), not in
 * it, or finding->stage says what is wrong. The function may use up the finding;
 * it says whether the row counts.
 */
typedef bool (*OutboxTrialRow)(void *arg, bool in_view, OutboxFinding *finding);

/*
 * Reads the contract's rows for the keys of its root, with the active snapshot,
 * and calls the function for each key until it has said true max_rows times. A
 * key whose row cannot be computed is a finding; memory is bounded.
 */
extern void OutboxTryKeys(OutboxCompiledContract *contract, int64 max_rows, OutboxTrialRow function, void *arg);

#endif /* OUTBOX_COMMIT_TRIAL_H */
