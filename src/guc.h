/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  All settings of outbox_ext.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_GUC_H
#define OUTBOX_GUC_H

/* What happens when the backlog is larger than outbox.max_backlog. */
typedef enum OutboxBacklogPolicy
{
	OUTBOX_BACKLOG_KEEP,   /* status and the log say so */
	OUTBOX_BACKLOG_REFUSE, /* writers get an error */
	OUTBOX_BACKLOG_DROP    /* the oldest events go, and a gap is recorded */
} OutboxBacklogPolicy;

/* What the DDL check does with a migration that breaks a live contract. */
typedef enum OutboxDdlCheck
{
	OUTBOX_DDL_CHECK_ENFORCE, /* its COMMIT fails */
	OUTBOX_DDL_CHECK_LOG,     /* log, outbox.ddl_check_log and status say so */
	OUTBOX_DDL_CHECK_OFF      /* nobody looks */
} OutboxDdlCheck;

extern bool outbox_capture;    /* outbox.capture: the DBA's kill switch */
extern char *outbox_namespace; /* outbox.namespace: NULL or '' = derived from the database's name */
extern int outbox_max_message_bytes;
extern int outbox_flush_timeout; /* ms that a commit may spend on contracts, a share per key on top */
extern int outbox_queue_memory;  /* kB of queued keys before they go to a file */
extern bool outbox_test_mode;
extern int outbox_ddl_check;         /* OutboxDdlCheck */
extern int outbox_ddl_check_timeout; /* ms that all looks of a transaction may take */
extern int outbox_max_databases;
extern int outbox_ring_size;
extern int outbox_bulk_filter_memory;    /* kB */
extern int outbox_poll_interval;         /* ms */
extern int outbox_dead_letter_retention; /* seconds; -1: for ever */
extern int outbox_drain_timeout;         /* ms a stopping relay waits for acks */
extern int outbox_max_in_flight;         /* messages handed to a sink and not acknowledged */
extern int outbox_max_in_flight_size;    /* kB, the same */
extern int outbox_max_held_events;       /* per sink, in outbox_internal.held_event */
extern int outbox_max_sorted_events;     /* what a relay sorts at a time */
extern int outbox_leaf_size;             /* kB: a larger leaf is closed */
extern int outbox_leaf_age;              /* seconds: an older leaf is closed */
extern int outbox_max_leaves;
extern int outbox_retention;        /* seconds from the ack to the emptying of a leaf; -1: for ever */
extern int outbox_max_backlog;      /* kB; 0: no limit */
extern int outbox_backlog_policy;   /* OutboxBacklogPolicy */
extern char *outbox_sink_libraries; /* comma-separated names that may be loaded as sinks */
extern char *outbox_http_hosts;     /* comma-separated host[:port]; '' = any */
extern char *outbox_site;           /* names this copy of the data, outside the data directory */
extern char *outbox_databases;      /* comma-separated names of databases that have relays; '' = all */
extern char *outbox_traceparent;
extern char *outbox_correlation_id;
extern char *outbox_causation_id;
extern char *outbox_actor;

extern void OutboxDefineSettings(void);

#endif /* OUTBOX_GUC_H */
