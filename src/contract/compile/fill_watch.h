/*-------------------------------------------------------------------------
 *
 * fill_watch.h
 *	  What changed in the catalogs while a contract was compiled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_FILL_WATCH_H
#define OUTBOX_FILL_WATCH_H

#include "nodes/pg_list.h"

/* Bits, one for each hash of a change. */
#define OUTBOX_WATCHED_CHANGES 65536

typedef struct OutboxFillWatch
{
	struct OutboxFillWatch *outer;
	bool any; /* something changed, */
	bool all; /* and nobody knows what */
	uint64 changes[OUTBOX_WATCHED_CHANGES / 64];
} OutboxFillWatch;

/* From Begin to End, whatever is raised in between, changes are noted. Watches are nested as compiling is. */
extern void OutboxFillWatchBegin(OutboxFillWatch *watch);
extern void OutboxFillWatchEnd(OutboxFillWatch *watch);

/* For callbacks of invalidations: neither raises nor allocates. cacheid 0: of the relation `value`. Value 0: anything. */
extern void OutboxFillWatchNote(int cacheid, uint32 value);

/* May a change concern one of these relations (NIL: any does) or of these PlanInvalItems? */
extern bool OutboxFillWatchConcerns(const OutboxFillWatch *watch, const List *relations, const List *objects);

#endif /* OUTBOX_FILL_WATCH_H */
