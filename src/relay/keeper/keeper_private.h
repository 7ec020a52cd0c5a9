/*-------------------------------------------------------------------------
 *
 * keeper_private.h
 *	  Shared by the files of relay/keeper/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_KEEPER_KEEPER_PRIVATE_H
#define OUTBOX_RELAY_KEEPER_KEEPER_PRIVATE_H

#include "relay/keeper/keeper.h"

/* ---- keeper.c: The keeper of the leaves: its parts and what they share. ---- */

extern void OutboxKeeperBegin(OutboxOwnerScope *scope);
extern void OutboxKeeperEnd(const OutboxOwnerScope *scope);
extern void OutboxKeeperAbort(void);
extern bool OutboxKeeperHeldOff(const OutboxKeeper *keeper, int number);
extern void OutboxKeeperHoldOff(OutboxKeeper *keeper, int number);
extern void OutboxKeeperLeaveAlone(OutboxKeeper *keeper, int number);
extern void OutboxKeeperSucceeded(OutboxKeeper *keeper, int number);
extern void OutboxKeeperSubtractPassed(OutboxKeeper *keeper, struct OutboxLeafSummary *summary);
extern void OutboxKeeperLoad(OutboxKeeper *keeper);
extern bool OutboxKeeperSwitch(OutboxKeeper *keeper, const OutboxKeptLeaf *current);
extern bool OutboxKeeperFreeze(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf);
extern bool OutboxKeeperRecycle(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf);
extern bool OutboxKeeperCreate(OutboxKeeper *keeper);
extern bool OutboxKeeperCount(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf);
extern bool OutboxKeeperCompare(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf);
extern int64 OutboxKeeperLeafSize(void);
extern bool OutboxKeeperBacklog(OutboxKeeper *keeper);
extern bool OutboxLeafLockAway(Oid relid);
extern void OutboxLeafEmpty(Oid relid);

#endif /* OUTBOX_RELAY_KEEPER_KEEPER_PRIVATE_H */
