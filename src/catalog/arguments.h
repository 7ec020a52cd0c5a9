/*-------------------------------------------------------------------------
 *
 * arguments.h
 *	  Arguments of the SQL functions.
 *
 * None of them is strict: a NULL that makes no sense is an error that names
 * the argument, not a result that says nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ARGUMENTS_H
#define OUTBOX_ARGUMENTS_H

#include "fmgr.h"

/* Raises null_value_not_allowed, naming the argument, when it is NULL. */
extern void OutboxRequireArg(FunctionCallInfo fcinfo, int arg, const char *argument);

/* A text argument, palloc'd; NULL for SQL NULL. */
extern char *OutboxTextArg(FunctionCallInfo fcinfo, int arg);

/* The same, where NULL is refused. */
extern char *OutboxRequiredTextArg(FunctionCallInfo fcinfo, int arg, const char *argument);

#endif /* OUTBOX_ARGUMENTS_H */
