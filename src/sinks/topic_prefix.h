/*-------------------------------------------------------------------------
 *
 * topic_prefix.h
 *	  The option topic.prefix, which our sinks share.
 *
 * The relay names an event's topic as the contract does: in status, in what
 * it holds and in metrics.  A sink puts the prefix in front when it publishes,
 * so only the sink's own words have it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TOPIC_PREFIX_H
#define OUTBOX_TOPIC_PREFIX_H

#define TOPIC_PREFIX_OPTION "topic.prefix"

/* The longest name of a topic that a Kafka broker accepts. */
#define TOPIC_MAX_BYTES 249

#define TOPIC_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* Raises when no topic could begin with the value, which is not shown: it may come from a file. */
static inline void
CheckTopicPrefix(const char *value)
{
	size_t len = strlen(value);

	if (strspn(value, TOPIC_CHARACTERS) != len || len >= TOPIC_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of sink option \"%s\"", TOPIC_PREFIX_OPTION),
				 errhint("Give at most 248 letters, digits, dots, underscores and hyphens.")));
}

#endif /* OUTBOX_TOPIC_PREFIX_H */
