/*-------------------------------------------------------------------------
 *
 * check.h
 *	  The DDL check: what breaks a live contract fails at the COMMIT of the migration.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DDL_CHECK_CHECK_H
#define OUTBOX_DDL_CHECK_CHECK_H

#include "catalog/outbox_catalog.h"

/* ---- live_contracts.c: What live contracts rest on, as far as their configuration says. ---- */

extern bool OutboxAnyLiveSource(bool (*is_one)(Oid source));

/* ---- watch.c: What DDL does to live contracts, judged when it is committed. ---- */

extern void OutboxWatchPartition(const OutboxContractConfig *config);

#endif /* OUTBOX_DDL_CHECK_CHECK_H */
