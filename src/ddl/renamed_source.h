/*-------------------------------------------------------------------------
 *
 * renamed_source.h
 *	  Sources that get another name, judged when that is committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RENAMED_SOURCE_H
#define OUTBOX_RENAMED_SOURCE_H

/* Before the command that gives it another name, or schema. */
extern void OutboxNoteRenamedSource(Oid table);

extern bool OutboxHasRenamedSources(void);

/* An OutboxGuardedStep: a gap for each that another table took the place of. At the end of the transaction; may raise. */
extern void OutboxJudgeRenamedSources(void *arg);

extern void OutboxForgetRenamedSources(void);

#endif /* OUTBOX_RENAMED_SOURCE_H */
