/*-------------------------------------------------------------------------
 *
 * plpgsql_types.h
 *	  Functions in PL/pgSQL that were compiled for somebody else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PLPGSQL_TYPES_H
#define OUTBOX_PLPGSQL_TYPES_H

/*
 * From now on the types of the variables of each function that is called are
 * judged. Returns what OutboxUnwatchPlpgsql() wants.
 */
extern void *OutboxWatchPlpgsql(void);
extern void OutboxUnwatchPlpgsql(void *caller);

#endif /* OUTBOX_PLPGSQL_TYPES_H */
