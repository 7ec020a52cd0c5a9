/*-------------------------------------------------------------------------
 *
 * sql_function.h
 *	  Functions in SQL that the planner does not replace by their bodies.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SQL_FUNCTION_H
#define OUTBOX_SQL_FUNCTION_H

#include "nodes/nodes.h"

/* A function in SQL that was not inlined (it would cost 10 µs per row), or InvalidOid. */
extern Oid OutboxFindSqlFunction(Node *planned);

/* What to do about it, palloc'd. */
extern char *OutboxInlineHint(Oid function);

#endif /* OUTBOX_SQL_FUNCTION_H */
