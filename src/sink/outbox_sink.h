/*-------------------------------------------------------------------------
 *
 * outbox_sink.h
 *	  The public interface between the relay and a sink library.
 *
 * A sink library is loaded by the relay process (and, to check options, by
 * the backend that runs outbox.create_sink) and exports one function,
 * _PG_outbox_sink_init.  Archive modules are the model: a struct of
 * callbacks, NULL where optional.
 *
 * What a sink may rely on, and must do:
 *  - every callback but those that a session calls runs in the process's
 *    main thread, outside of any transaction: no catalog access, no SPI;
 *  - a callback reports trouble only with ereport(ERROR): the relay catches
 *    it, calls shutdown_cb, backs off, and starts again from its watermark;
 *  - a message is either acknowledged by poll_cb with the position it came
 *    with, or not at all; the memory of a message is valid only during
 *    publish_cb, so the sink copies what it keeps;
 *  - a replay has an OutboxSinkState of its own beside the relay's, with an
 *    attempt of its own: whatever belongs to one life of the sink is in
 *    private_data, not in static variables;
 *  - behind a message that is rejected, blocked or given back nothing of the
 *    same key and destination is delivered that was taken before poll_cb had
 *    reported it: what was taken is given back or not taken at all;
 *  - transport trouble (broker down, timeout) is never an ack: the sink keeps
 *    trying, and says so through trouble_cb, also that it is over when there
 *    is nothing to publish: nobody else looks whether the broker is back.
 *
 * Nothing here names a broker: header names, framing and partitions are the
 * sink's affair.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SINK_H
#define OUTBOX_SINK_H

#include "datatype/timestamp.h"
#include "port.h"

#define OUTBOX_SINK_MAGIC 0x4F425838 /* changes with every change of this file's layout */

/* A counted string; data == NULL is SQL NULL. Not terminated unless said. */
typedef struct OutboxSlice
{
	const char *data;
	Size len;
} OutboxSlice;

/*
 * Where a message stands in the relay's publication order.  attempt counts
 * the starts of the sink within one relay process: a late report of an older
 * attempt must never acknowledge a message of the present one.
 */
typedef struct OutboxPosition
{
	uint32 attempt;
	uint64 index;
} OutboxPosition;

/* One option of create_sink; secrets given as {"file": ...} arrive resolved. */
typedef struct OutboxSinkOption
{
	const char *name;
	const char *value; /* strings as they are; numbers and booleans as text */
} OutboxSinkOption;

/* An id that a registry assigned to a schema earlier. What registry and subject name is the sink's affair. */
typedef struct OutboxRegistration
{
	const char *registry;
	const char *subject;
	int32 id;
} OutboxRegistration;

/* The schema of a payload; the struct outlives the sink's attempt. */
typedef struct OutboxSchema
{
	int32 id;                                /* outbox.event_schema.id, unique in this database */
	const char *text;                        /* the original Avro schema, JSON */
	const char *full_name;                   /* namespace.Name */
	uint64 fingerprint;                      /* CRC-64-AVRO of the canonical form */
	const OutboxRegistration *registrations; /* what is remembered of this sink's reports; no two of a registry and subject */
	int nregistrations;
	const char *level; /* what the contract promises: NONE, BACKWARD, FORWARD, FULL, each also _TRANSITIVE; NULL: nothing */
} OutboxSchema;

/*
 * An additional attribute: a CloudEvents extension name ([a-z0-9]) and its value. Or a header that the contract asks
 * for: its name ([a-z][a-z0-9_]*), which the message has as it is, and its value.
 */
typedef struct OutboxAttribute
{
	OutboxSlice name;
	OutboxSlice value;
} OutboxAttribute;

typedef struct OutboxMessage
{
	OutboxPosition position;
	const char *destination; /* topic, terminated */
	OutboxSlice key;         /* aggregateid: the unit of order */
	OutboxSlice payload;     /* Avro binary without framing; data == NULL: a tombstone */
	const OutboxSchema *schema;

	/* the event's identity */
	uint8 id[16];
	int64 seq;
	uint32 timeline;
	TimestampTz occurred_at;
	OutboxSlice event_type;
	const char *ce_type; /* terminated */
	OutboxSlice aggregate_type;
	OutboxSlice traceparent; /* data == NULL: none */
	const OutboxAttribute *attributes;
	int nattributes;
	const OutboxAttribute *headers; /* columns of the contract; always to be sent where messages have headers */
	int nheaders;
} OutboxMessage;

typedef enum OutboxAckStatus
{
	OUTBOX_ACK_OK,      /* the broker has it for good */
	OUTBOX_ACK_RETRY,   /* not sent, nor any later message of its key: the relay hands them over again, in order */
	OUTBOX_ACK_BLOCKED, /* the same, because its destination, or its schema there, takes nothing at present: the relay
						 * holds such messages, hands over those of others, and tries one of them now and then */
	OUTBOX_ACK_REJECT   /* the broker will never take this record */
} OutboxAckStatus;

typedef struct OutboxAck
{
	OutboxPosition position;
	OutboxAckStatus status;
	bool only_schema;                /* of BLOCKED: other schemas may well go to this destination */
	const char *detail;              /* for all but OK: the broker's words; valid until the next callback */
	int32 schema_id;                 /* with registration: of which schema */
	OutboxRegistration registration; /* to remember; id = 0: none. Its texts, in UTF-8, are valid until the next callback */
} OutboxAck;

typedef struct OutboxSinkState
{
	MemoryContext context; /* lives from startup_cb to shutdown_cb */
	const char *sink_name;
	const char *database;
	const char *origin; /* the database's name when the extension was created: what messages come from */
	const OutboxSinkOption *options;
	int noptions;
	uint32 attempt;
	int64 forgotten; /* changes when a person had the registrations forgotten: what the process remembers is void */

	/* Does a schema that a registry holds (UTF-8) give readers the same values as ours? NULL: nobody can say. */
	bool (*reads_alike)(const OutboxSchema *schema, const char *other);
	void *private_data; /* the sink's own */
} OutboxSinkState;

/* ---- a schema registry, asked in a session ---- */

typedef enum OutboxRegistryTask
{
	OUTBOX_REGISTRY_ASK,       /* would it take the schemas? Registers nothing */
	OUTBOX_REGISTRY_COMPARE,   /* does it hold what it should? */
	OUTBOX_REGISTRY_PUSH_LEVEL /* makes the levels of the contracts those of their subjects */
} OutboxRegistryTask;

typedef struct OutboxRegistryItem
{
	const char *topic;
	const char *event_type;
	const OutboxSchema *schema; /* its texts are in UTF-8 */
	bool current;               /* else an older one, of which a registry may well know */
} OutboxRegistryItem;

typedef struct OutboxRegistryFinding
{
	int item;            /* of the call; -1: the registry as a whole */
	const char *subject; /* NULL: the registry as a whole */
	const char *what;    /* refused, unreachable, missing, deleted, extra version, different text, other id, weaker level */
	const char *ours;    /* or NULL, as the rest */
	const char *theirs;  /* for refused and unreachable: its words */
	const char *advice;
} OutboxRegistryFinding;

typedef struct OutboxRegistryCall
{
	OutboxRegistryTask task;
	const char *sink_name;
	const OutboxSinkOption *options;
	int noptions;
	const OutboxRegistryItem *items;
	int nitems;
	TimestampTz deadline;
	bool (*reads_alike)(const OutboxSchema *schema, const char *other);
	void (*report)(const struct OutboxRegistryCall *call, const OutboxRegistryFinding *finding);
	void *arg; /* of report */
} OutboxRegistryCall;

typedef struct OutboxSinkCallbacks
{
	uint32 magic;

	/* Required: raises for a bad option. Starts no thread, opens no connection. */
	void (*validate_cb)(const OutboxSinkOption *options, int noptions);

	/*
	 * Optional: raises for an option with which the sink would break a promise
	 * (order, completeness, what may run in the server).  Called in a session
	 * that changes a sink; what is merely wrong may pass, for status says so when
	 * the relay starts.  The value of an option that is kept in a file is NULL.
	 */
	void (*guard_cb)(const OutboxSinkOption *options, int noptions);

	/*
	 * Optional: the registry's subject of a schema in a topic, palloc'd; NULL: there is no registry.  Called in a
	 * session; values of options that are kept in a file are NULL, and the options need not be valid.
	 */
	const char *(*subject_cb)(const OutboxSinkOption *options, int noptions, const char *topic, const char *full_name);

	/*
	 * Optional: works on a registry in a session, within a transaction.  HTTP alone: no thread starts, interrupts are
	 * served, and at the deadline it gives up.  A registry that gives no answer of use is a finding, not an error.
	 */
	void (*registry_cb)(const OutboxRegistryCall *call);

	/* Required: prepares the connection. Must not wait for the broker. */
	void (*startup_cb)(OutboxSinkState *state);

	/* Optional: false while the sink cannot publish yet, *detail says why. */
	bool (*check_configured_cb)(OutboxSinkState *state, const char **detail);

	/* Required: takes messages in order, returns how many were taken (0..n). */
	int (*publish_cb)(OutboxSinkState *state, const OutboxMessage *messages, int n);

	/* Required: fills up to max acks, waiting at most timeout_ms for the first; returns how many. */
	int (*poll_cb)(OutboxSinkState *state, OutboxAck *acks, int max, long timeout_ms);

	/* Optional: a descriptor that turns readable when poll_cb has something to do. */
	pgsocket (*socket_cb)(OutboxSinkState *state);

	/* Optional: the transport's present trouble in the broker's words, NULL when all is well. */
	const char *(*trouble_cb)(OutboxSinkState *state);

	/*
	 * Optional: has something come back that BLOCKED with only_schema was reported for? True once: an event of each
	 * schema that waits is offered at once.  Without it, it is offered when its pause is over.
	 */
	bool (*revived_cb)(OutboxSinkState *state);

	/*
	 * Optional: waits at most timeout_ms for what was taken to be finished;
	 * poll_cb reports the outcome.  False: there is nothing left to wait for,
	 * what poll_cb does not report now it never will.  Called before shutdown,
	 * also after a message failed.
	 */
	bool (*flush_cb)(OutboxSinkState *state, long timeout_ms);

	/* Required: releases everything. Called on every path, also after an error in startup_cb. Must not raise. */
	void (*shutdown_cb)(OutboxSinkState *state);
} OutboxSinkCallbacks;

typedef const OutboxSinkCallbacks *(*OutboxSinkInit)(void);

/* What a sink library exports. */
extern PGDLLEXPORT const OutboxSinkCallbacks *_PG_outbox_sink_init(void);

#endif /* OUTBOX_SINK_H */
