/*-------------------------------------------------------------------------
 *
 * database_list.h
 *	  Which databases of the server have relays: outbox.databases.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DATABASE_LIST_H
#define OUTBOX_DATABASE_LIST_H

/* Is the list empty, or does it name the database? Allocates in the current memory context. */
extern bool OutboxDatabaseListed(const char *name);

#endif /* OUTBOX_DATABASE_LIST_H */
