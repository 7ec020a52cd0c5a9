/*-------------------------------------------------------------------------
 *
 * stored_view.h
 *	  Creating a dropped view again as it was.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_STORED_VIEW_H
#define OUTBOX_STORED_VIEW_H

#include "nodes/pg_list.h"

#include "contract/environment/evaluation.h"

/* What outbox_internal.view_commands() gave for a view before it was dropped. */
typedef struct OutboxStoredView
{
	char *name; /* qualified and quoted */
	char *owner;
	List *commands;      /* CREATE VIEW first */
	bool replaces;       /* a view that is there, and keeps its grants */
	const char *running; /* the command that is being run */
} OutboxStoredView;

/* Adds a command to the list's last view, or to a new one when the name is another; returns the list. */
extern List *OutboxStoredViewAdd(List *views, char *name, char *owner, char *role, char *command);

/* Raises unless the caller has the rights of the view's owner. */
extern void OutboxCheckViewOwner(const char *view, const char *owner);

/* Creates the view with everything that belongs to it; raises, naming view and command, when it cannot. */
extern void OutboxCreateStoredView(OutboxStoredView *view);

/*
 * With the rights of a role, restricted, and with the settings under which constants in the commands are printed, and read
 * again.
 */
extern void OutboxCommandScopeBegin(OutboxEvaluation *scope, Oid role);
extern void OutboxCommandScopeEnd(const OutboxEvaluation *scope);

/*
 * Runs a command with the rights of a role and nothing else of the session:
 * restricted, and with pinned settings.
 */
extern void OutboxRunAs(const char *role, const char *command);

/* Runs a command that runs no code of others: with the caller's rights and search_path = pg_catalog, pg_temp. */
extern void OutboxRunAsCaller(const char *command);

#endif /* OUTBOX_STORED_VIEW_H */
