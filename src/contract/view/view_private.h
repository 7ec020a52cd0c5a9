/*-------------------------------------------------------------------------
 *
 * view_private.h
 *	  Shared by the files of contract/view/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_VIEW_VIEW_PRIVATE_H
#define OUTBOX_CONTRACT_VIEW_VIEW_PRIVATE_H

#include "contract/view/view.h"

/* ---- key_view.c: The view that a source's key_query is kept as. ---- */

extern Oid OutboxRestoreKeyView(const char *name, Oid owner, Query *query);

/* ---- key_text.c: The text of a key_query, parsed. ---- */

extern Query *OutboxParseKeyQuery(const OutboxContractConfig *config, Oid source, const char *text, TupleDesc lookup);

#endif /* OUTBOX_CONTRACT_VIEW_VIEW_PRIVATE_H */
