/*-------------------------------------------------------------------------
 *
 * fault_control.c
 *	  What the fault-injecting sink is told to do wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "fault_control.h"

/* How often a process that stopped looks whether it may go on. */
#define STOPPED_POLL_MS 10

static void set_defaults(FaultControl *control);
static void set_value(FaultControl *control, const char *name, const char *value);

void
FaultControlInit(FaultControl *control, const OutboxSinkOption *options, int noptions)
{
	memset(control, 0, sizeof(*control));
	set_defaults(control);
	for (int i = 0; i < noptions; i++)
	{
		if (strcmp(options[i].name, "file") == 0)
			strlcpy(control->file, options[i].value, sizeof(control->file));
		else if (strcmp(options[i].name, "control") == 0)
			strlcpy(control->control, options[i].value, sizeof(control->control));
		else if (strcmp(options[i].name, "payloads") == 0)
			control->payloads = strcmp(options[i].value, "true") == 0;
		else
			set_value(control, options[i].name, options[i].value);
	}
}

static void
set_defaults(FaultControl *control)
{
	control->down = false;
	control->reverse = false;
	control->unconfigured = false;
	control->reject_values = false;
	control->delay_ms = 0;
	control->capacity = 100000;
	control->raise_after = 0;
	control->retry_after = 0;
	control->registered_id = 0;
	control->reject_every = 0;
	control->block_schema = 0;
	control->block_topic[0] = '\0';
	control->raise[0] = '\0';
	control->words[0] = '\0';
	control->reject_key[0] = '\0';
	control->stop[0] = '\0';
}

static void
set_value(FaultControl *control, const char *name, const char *value)
{
	if (strcmp(name, "down") == 0)
		control->down = atoi(value) != 0;
	else if (strcmp(name, "reverse") == 0)
		control->reverse = atoi(value) != 0;
	else if (strcmp(name, "unconfigured") == 0)
		control->unconfigured = atoi(value) != 0;
	else if (strcmp(name, "reject_values") == 0)
		control->reject_values = atoi(value) != 0;
	else if (strcmp(name, "delay_ms") == 0)
		control->delay_ms = atoi(value);
	else if (strcmp(name, "capacity") == 0)
		control->capacity = atoi(value);
	else if (strcmp(name, "raise_after") == 0)
		control->raise_after = atoi(value);
	else if (strcmp(name, "retry_after") == 0)
		control->retry_after = atoi(value);
	else if (strcmp(name, "register") == 0)
		control->registered_id = atoi(value);
	else if (strcmp(name, "reject_every") == 0)
		control->reject_every = atoi(value);
	else if (strcmp(name, "block_schema") == 0)
		control->block_schema = atoi(value);
	else if (strcmp(name, "block_topic") == 0)
		strlcpy(control->block_topic, value, sizeof(control->block_topic));
	else if (strcmp(name, "raise") == 0)
		strlcpy(control->raise, value, sizeof(control->raise));
	else if (strcmp(name, "stop") == 0)
		strlcpy(control->stop, value, sizeof(control->stop));
	else if (strcmp(name, "words") == 0)
		strlcpy(control->words, value, sizeof(control->words));
	else if (strcmp(name, "reject_key") == 0)
		strlcpy(control->reject_key, value, sizeof(control->reject_key));
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown name in the control of a fault sink: \"%s\"", name)));
}

/* No file: nothing goes wrong. */
bool
FaultControlRefresh(FaultControl *control)
{
	struct stat now;
	FILE *file;
	char line[2 * FAULT_TEXT_LEN];

	if (control->control[0] == '\0')
		return false;
	if (stat(control->control, &now) != 0)
		memset(&now, 0, sizeof(now));
	if (now.st_ino == control->seen.st_ino && now.st_size == control->seen.st_size &&
		now.st_mtim.tv_sec == control->seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == control->seen.st_mtim.tv_nsec)
		return false;
	control->seen = now;
	set_defaults(control);

	file = AllocateFile(control->control, "r");
	if (file == NULL)
		return true;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char *value = strchr(line, '=');

		if (value == NULL)
			continue;
		*value++ = '\0';
		value[strcspn(value, "\n")] = '\0';
		set_value(control, line, value);
	}
	FreeFile(file);
	return true;
}

void
FaultStopAt(FaultControl *control, const char *where)
{
	char activity[FAULT_TEXT_LEN + 16];

	if (strcmp(control->stop, where) != 0)
		return;
	snprintf(activity, sizeof(activity), "stopped at %s", where);
	pgstat_report_activity(STATE_RUNNING, activity);
	while (strcmp(control->stop, where) == 0 && !ShutdownRequestPending)
	{
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, STOPPED_POLL_MS, PG_WAIT_EXTENSION);
		(void) FaultControlRefresh(control);
	}
	pgstat_report_activity(STATE_RUNNING, "publishing");
}
