/*-------------------------------------------------------------------------
 *
 * view_survey.h
 *	  Everything a query reads, through views over views.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_VIEW_SURVEY_H
#define OUTBOX_VIEW_SURVEY_H

#include "nodes/parsenodes.h"

typedef struct OutboxViewSurvey
{
	const char *subject; /* whose query it is, for messages: "the view \"x\"" */
	List *relations;     /* OIDs of all tables and views, in the order met */
	List *access;        /* of OutboxViewAccess * */
	char *reader;        /* a function that may read tables by itself, or NULL */
} OutboxViewSurvey;

/*
 * Surveys a view, locking what it reads in AccessShareLock until the end of
 * the transaction where that takes no waiting. Raises, naming construct and remedy, for what must not be
 * read at commit: foreign and temporary tables, views with security_invoker,
 * row locks, samples.
 */
extern OutboxViewSurvey *OutboxSurveyView(Oid view);

/* The same for an analysed query that is not a view's; survey->subject is set by the caller. */
extern void OutboxSurveyQuery(OutboxViewSurvey *survey, Query *query);

/*
 * The columns of a relation that the query reads (attno -
 * FirstLowInvalidHeapAttributeNumber); a member for attribute 0 means all.
 */
extern Bitmapset *OutboxSurveyColumns(const OutboxViewSurvey *survey, Oid relation);

#endif /* OUTBOX_VIEW_SURVEY_H */
