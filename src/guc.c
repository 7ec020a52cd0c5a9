/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  All settings of outbox_ext.
 *
 * One short function per subsystem. Settings that size shared memory can only
 * be set by preloading; the others work in the trial mode too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "guc.h"
#include "sink/sink.h"

bool outbox_capture = true;
char *outbox_namespace = NULL;
int outbox_max_message_bytes = 1000000;
int outbox_flush_timeout = 1000;
int outbox_queue_memory = 16384;
bool outbox_test_mode = false;
int outbox_ddl_check = OUTBOX_DDL_CHECK_ENFORCE;
int outbox_ddl_check_timeout = 200;
int outbox_max_databases = 8;
int outbox_ring_size = 65536;
int outbox_bulk_filter_memory = 4096;
int outbox_poll_interval = 1000;
int outbox_drain_timeout = 3000;
int outbox_dead_letter_retention = 30 * 24 * 60 * 60;
int outbox_max_in_flight = 65536;
int outbox_max_in_flight_size = 65536;
int outbox_max_held_events = 1000000;
int outbox_max_sorted_events = 1048576;
int outbox_leaf_size = 1024 * 1024;
int outbox_leaf_age = 24 * 60 * 60;
int outbox_max_leaves = 1000;
int outbox_retention = 7 * 24 * 60 * 60;
int outbox_max_backlog = 0;
int outbox_backlog_policy = OUTBOX_BACKLOG_KEEP;
char *outbox_sink_libraries = NULL;
char *outbox_http_hosts = NULL;
char *outbox_site = NULL;
char *outbox_databases = NULL;
char *outbox_traceparent = NULL;
char *outbox_correlation_id = NULL;
char *outbox_causation_id = NULL;
char *outbox_actor = NULL;

static const struct config_enum_entry backlog_policies[] = {
	{"keep", OUTBOX_BACKLOG_KEEP, false},
	{"refuse", OUTBOX_BACKLOG_REFUSE, false},
	{"drop", OUTBOX_BACKLOG_DROP, false},
	{NULL, 0, false}};

static const struct config_enum_entry ddl_checks[] = {
	{"enforce", OUTBOX_DDL_CHECK_ENFORCE, false},
	{"log", OUTBOX_DDL_CHECK_LOG, false},
	{"off", OUTBOX_DDL_CHECK_OFF, false},
	{NULL, 0, false}};

static void
define_capture_settings(void)
{
	DefineCustomBoolVariable("outbox.capture",
							 "Captures changes of the contracts' sources.",
							 "Off stops capture at once. Changes made meanwhile produce no events.",
							 &outbox_capture, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("outbox.namespace",
							   "First part of the Avro namespace of new contracts.",
							   "Empty: the name of the database.",
							   &outbox_namespace, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.max_message_bytes",
							"Largest event that is captured; a larger one becomes a dead letter.",
							"The payload, the headers, and the key three times count, because two headers have the key, too. Keep it below the broker's limit.",
							&outbox_max_message_bytes, 1000000, 1024, 512 * 1024 * 1024,
							PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
}

static void
define_commit_settings(void)
{
	DefineCustomIntVariable("outbox.flush_timeout",
							"Longest time for which a commit reads contracts evaluated at commit, or waits for another commit that reads.",
							"Each key adds a thousandth. The relay tries again what was not done in time.",
							&outbox_flush_timeout, 1000, 10, 600000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.queue_memory",
							"Memory for the keys that a transaction touched.",
							"More keys go to a temporary file. The index of the keys takes up to one and a half times as much in addition.",
							&outbox_queue_memory, 16384, 64, 1024 * 1024,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomBoolVariable("outbox.test_mode",
							 "Allows outbox.flush(), for tests that run in one transaction.",
							 NULL,
							 &outbox_test_mode, false, PGC_USERSET, 0, NULL, NULL, NULL);
}

static void
define_ddl_settings(void)
{
	DefineCustomEnumVariable("outbox.ddl_check",
							 "What is done with DDL that breaks a live contract.",
							 "enforce: its COMMIT fails; log: the log, outbox.ddl_check_log and status say so; off: nobody looks.",
							 &outbox_ddl_check, OUTBOX_DDL_CHECK_ENFORCE, ddl_checks,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.ddl_check_timeout",
							"Longest time that a transaction with DDL looks at contracts.",
							"What is not seen by then is not judged, and outbox.status says so.",
							&outbox_ddl_check_timeout, 200, 1, 60000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
}

static void
define_trace_settings(void)
{
	DefineCustomStringVariable("outbox.traceparent",
							   "W3C trace context of the events of this transaction.",
							   NULL, &outbox_traceparent, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("outbox.correlation_id",
							   "Correlation id of the events of this transaction.",
							   NULL, &outbox_correlation_id, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("outbox.causation_id",
							   "Causation id of the events of this transaction.",
							   NULL, &outbox_causation_id, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("outbox.actor",
							   "Who makes the changes of this transaction, for event types that say so.",
							   "Empty: the session's user.", &outbox_actor, "", PGC_USERSET, 0, NULL, NULL, NULL);
}

static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char *names = pstrdup(*newval);
	List *listed = NIL;
	bool valid = SplitGUCList(names, ',', &listed);

	if (!valid)
	{
		GUC_check_errdetail("It is not a list of database names separated by commas.");
		GUC_check_errhint("Put a name with spaces or commas into double quotes.");
	}
	list_free(listed);
	pfree(names);
	return valid;
}

static bool
check_http_hosts(char **newval, void **extra, GucSource source)
{
	const char *bad;

	if (OutboxHttpHostsValid(*newval, &bad))
		return true;
	GUC_check_errdetail("\"%s\" is not a host, or a host and a port.", bad);
	GUC_check_errhint("Give a list such as \"registry.example.com, 10.0.0.7:8081\".");
	return false;
}

static void
define_relay_settings(void)
{
	DefineCustomIntVariable("outbox.poll_interval",
							"Longest time a relay sleeps when nothing wakes it.",
							NULL, &outbox_poll_interval, 1000, 10, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.drain_timeout",
							"How long a stopping relay waits for outstanding acknowledgements.",
							"DROP DATABASE WITH (FORCE) waits five seconds for it.",
							&outbox_drain_timeout, 3000, 0, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.dead_letter_retention",
							"How long a dead letter is kept after it was redriven or discarded.",
							"Open dead letters are never removed. -1 keeps all for ever.",
							&outbox_dead_letter_retention, 30 * 24 * 60 * 60, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.max_in_flight",
							"Most messages that a relay has handed to its sink and that are not acknowledged.",
							"Takes effect when a relay starts or reconnects.",
							&outbox_max_in_flight, 65536, 1, 1048576,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.max_in_flight_size",
							"Most bytes of messages that a relay has handed to its sink and that are not acknowledged.",
							"One message always fits.",
							&outbox_max_in_flight_size, 65536, 64, 4 * 1024 * 1024,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.max_held_events",
							"Most events per sink that wait behind rejected ones or for their topics.",
							"At the limit the relay publishes nothing until some of them can go. Each takes a row, and up to 64 bytes of the relay's memory.",
							&outbox_max_held_events, 1000000, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.max_sorted_events",
							"Most events that a relay sorts at a time.",
							"A larger backlog is read in several passes. Each event takes up to 32 bytes meanwhile.",
							&outbox_max_sorted_events, 1048576, 16, 16 * 1024 * 1024,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("outbox.sink_libraries",
							   "Libraries that may be loaded as sinks, by bare name.",
							   NULL, &outbox_sink_libraries, "outbox_kafka, outbox_log",
							   PGC_SUSET, GUC_LIST_INPUT, NULL, NULL, NULL);
	DefineCustomStringVariable("outbox.http_hosts",
							   "Hosts that sinks may send HTTP requests to, each with or without a port.",
							   "Empty: any. This concerns schema registries, and every other URL among a sink's options.",
							   &outbox_http_hosts, "", PGC_SUSET, GUC_LIST_INPUT, check_http_hosts, NULL, NULL);
	DefineCustomStringVariable("outbox.site",
							   "Names this copy of the data, outside the data directory.",
							   "A sink that was started under another name does not publish until somebody confirms it.",
							   &outbox_site, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("outbox.databases",
							   "Databases whose sinks have relays.",
							   "Empty: all. In other databases relays end, and the launcher does not look for sinks.",
							   &outbox_databases, "", PGC_SIGHUP, GUC_LIST_INPUT, check_databases, NULL, NULL);
}

static void
define_storage_settings(void)
{
	DefineCustomIntVariable("outbox.leaf_size",
							"Size at which a leaf of outbox.event is closed and another one is written.",
							"With outbox.max_backlog set, it is at most a quarter of that.",
							&outbox_leaf_size, 1024 * 1024, 64, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.leaf_age",
							"Age at which a leaf of outbox.event that has events is closed.",
							"A leaf is emptied whole, so its age adds to the retention.",
							&outbox_leaf_age, 24 * 60 * 60, 1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.max_leaves",
							"Most leaves that are created; when all are in use, the current one grows.",
							NULL, &outbox_max_leaves, 1000, 1, 1000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.retention",
							"How long events are kept after every sink has acknowledged them.",
							"-1 keeps them for ever. Without a sink nothing is ever removed.",
							&outbox_retention, 7 * 24 * 60 * 60, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.max_backlog",
							"When leaves that are not acknowledged are larger than this together, outbox.backlog_policy applies.",
							"0 is no limit.",
							&outbox_max_backlog, 0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomEnumVariable("outbox.backlog_policy",
							 "What happens when the backlog is larger than outbox.max_backlog.",
							 "keep: the log and status say so; refuse: writers get an error; "
							 "drop: the oldest leaf is emptied and the loss is recorded in outbox.gap.",
							 &outbox_backlog_policy, OUTBOX_BACKLOG_KEEP, backlog_policies,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
}

/*
 * Sizes of shared memory mean something only while preloading. Otherwise they
 * are for display, in a context that accepts what stands in the configuration
 * file: refusing it would send a WARNING to the session of an application.
 */
static void
define_shared_memory_settings(void)
{
	GucContext context = process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP;

	DefineCustomIntVariable("outbox.max_databases",
							"How many databases of this server get a hint ring.",
							"Relays of further databases scan their leaves at every poll.",
							&outbox_max_databases, 8, 1, 1024,
							context,
							0, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.ring_size",
							"Entries in a database's hint ring.",
							"When more transactions commit between two looks of a relay, it scans the leaves once.",
							&outbox_ring_size, 65536, 64, 16 * 1024 * 1024,
							context,
							0, NULL, NULL, NULL);
	DefineCustomIntVariable("outbox.bulk_filter_memory",
							"Shared memory in which a commit with very many keys says which keys they are.",
							"Each key takes two bytes, or one when there is little left. Without it all other commits of the aggregate type wait.",
							&outbox_bulk_filter_memory, 4096, 0, 1024 * 1024,
							context,
							GUC_UNIT_KB, NULL, NULL, NULL);
}

void
OutboxDefineSettings(void)
{
	define_capture_settings();
	define_commit_settings();
	define_ddl_settings();
	define_trace_settings();
	define_relay_settings();
	define_storage_settings();
	define_shared_memory_settings();
	MarkGUCPrefixReserved("outbox");
}
