/*-------------------------------------------------------------------------
 *
 * view_check.h
 *	  May this view be a contract?
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_VIEW_CHECK_H
#define OUTBOX_VIEW_CHECK_H

#include "catalog/contract_config.h"

/*
 * Checks everything that capture relies on, and raises one error with all that
 * is wrong. *evaluate: 'row' or 'commit', decided here when it is NULL;
 * config->at_commit follows. *key_columns (of char *): the source's columns
 * that prove the key.
 */
extern void OutboxCheckContractView(OutboxContractConfig *config, const char **evaluate, List **key_columns);

#endif /* OUTBOX_VIEW_CHECK_H */
