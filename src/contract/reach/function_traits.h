/*-------------------------------------------------------------------------
 *
 * function_traits.h
 *	  What one of PostgreSQL's functions may do that concerns its caller.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_FUNCTION_TRAITS_H
#define OUTBOX_FUNCTION_TRAITS_H

#include "contract/reach/traits.h"

/* InvalidOid: of code that nothing names. */
extern OutboxTraits OutboxFunctionTraits(Oid function);

/* Does it run code of others that only its arguments' values tell? */
extern bool OutboxRunsUnseen(Oid function);

/* Of a call under this collation; `collatable`: an argument is a text. */
extern OutboxTraits OutboxCollationTraits(Oid collation, bool collatable);

#endif /* OUTBOX_FUNCTION_TRAITS_H */
