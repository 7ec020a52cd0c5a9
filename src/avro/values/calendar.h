/*-------------------------------------------------------------------------
 *
 * calendar.h
 *	  The range of dates that an event can carry: years 1 to 9999 (UTC), what
 *	  ISO 8601 writes with four digits and what readers in other languages have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_CALENDAR_H
#define OUTBOX_AVRO_CALENDAR_H

#include "datatype/timestamp.h"

/* From PostgreSQL's epoch (2000-01-01) to Unix's. */
#define OUTBOX_EPOCH_DAYS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE))

/* 0001-01-01 and 9999-12-31 in days since 2000-01-01. */
#define OUTBOX_MIN_DATE (-730119)
#define OUTBOX_MAX_DATE 2921939
#define OUTBOX_MIN_TIMESTAMP ((int64) OUTBOX_MIN_DATE * USECS_PER_DAY)
#define OUTBOX_MAX_TIMESTAMP (((int64) OUTBOX_MAX_DATE + 1) * USECS_PER_DAY - 1)

#endif /* OUTBOX_AVRO_CALENDAR_H */
