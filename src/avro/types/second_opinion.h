/*-------------------------------------------------------------------------
 *
 * second_opinion.h
 *	  What libavro says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_SECOND_OPINION_H
#define OUTBOX_AVRO_SECOND_OPINION_H

/*
 * NULL when libavro reads the schema (UTF-8), else its reason, palloc'd. Only for
 * texts that AvroParseSchema has accepted: others may crash libavro.
 */
extern char *OutboxLibavroRefuses(const char *schema_utf8);

#endif /* OUTBOX_AVRO_SECOND_OPINION_H */
