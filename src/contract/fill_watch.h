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

#define OUTBOX_WATCHED_CHANGES 64

/* An invalidation; cacheid 0: of the relation `value`. */
typedef struct OutboxWatchedChange
{
	int cacheid;
	uint32 value;
} OutboxWatchedChange;

typedef struct OutboxFillWatch
{
	struct OutboxFillWatch *outer;
	bool all; /* anything, or too much to remember */
	int nchanges;
	OutboxWatchedChange changes[OUTBOX_WATCHED_CHANGES];
} OutboxFillWatch;

/* From Begin to End, whatever is raised in between, changes are noted. Watches are nested as compiling is. */
extern void OutboxFillWatchBegin(OutboxFillWatch *watch);
extern void OutboxFillWatchEnd(OutboxFillWatch *watch);

/* For callbacks of invalidations: neither raises nor allocates. Value 0: anything of this kind. */
extern void OutboxFillWatchNote(int cacheid, uint32 value);

/* Does a change concern one of these relations (NIL: any does) or of these PlanInvalItems? */
extern bool OutboxFillWatchConcerns(const OutboxFillWatch *watch, const List *relations, const List *objects);

#endif /* OUTBOX_FILL_WATCH_H */
