/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The only place that knows PostgreSQL's version differences (15 to 18).
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_COMPAT_H
#define OUTBOX_COMPAT_H

#include "utils/rel.h"

#if PG_VERSION_NUM < 150000
#error "outbox_ext needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* A relation's storage file number: its node was renamed to a locator in 16. */
static inline Oid
OutboxRelFileNumber(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	return rel->rd_locator.relNumber;
#else
	return rel->rd_node.relNode;
#endif
}

#endif							/* OUTBOX_COMPAT_H */
