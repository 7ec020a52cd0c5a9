/*-------------------------------------------------------------------------
 *
 * fault_control.h
 *	  What the fault-injecting sink is told to do wrong.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FAULT_CONTROL_H
#define FAULT_CONTROL_H

#include <sys/stat.h>

#include "sink/outbox_sink.h"

#define FAULT_TEXT_LEN 256

typedef struct FaultControl
{
	bool down;
	bool reverse;
	bool unconfigured;
	bool reject_values;
	int delay_ms;
	int capacity;
	int raise_after;   /* 0 = never */
	int retry_after;   /* 0 = never */
	int registered_id; /* 0 = none */
	int reject_every;  /* 0 = none */
	int block_schema;  /* 0 = none */
	char raise[FAULT_TEXT_LEN];
	char words[FAULT_TEXT_LEN]; /* what the broker says about whatever goes wrong; empty = its usual ones */
	char reject_key[FAULT_TEXT_LEN];
	char block_topic[FAULT_TEXT_LEN];
	char stop[FAULT_TEXT_LEN];
	bool payloads; /* an option only */
	char file[MAXPGPATH];
	char control[MAXPGPATH];
	struct stat seen; /* the control file as it was read last */
} FaultControl;

/* From the sink's options. Raises for an unknown name. */
extern void FaultControlInit(FaultControl *control, const OutboxSinkOption *options, int noptions);

/* Reads the control file if it changed; true when it did. */
extern bool FaultControlRefresh(FaultControl *control);

/*
 * Stays here while the control file says stop=<where>, or until the process is
 * told to end; pg_stat_activity shows "stopped at <where>" meanwhile. Raises
 * nothing, needs no transaction.
 */
extern void FaultStopAt(FaultControl *control, const char *where);

#endif /* FAULT_CONTROL_H */
