/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The settings under which contracts are evaluated, whatever the session
 *	  has set.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SETTINGS_H
#define OUTBOX_SETTINGS_H

#include "contract/reach/traits.h"

/* Those that are changed without the server's machinery for settings, as they were. */
#define OUTBOX_DIRECT_SETTINGS 5
typedef struct OutboxDirectSettings
{
	char *strings[OUTBOX_DIRECT_SETTINGS];
	int client_min_messages;
	int max_parallel_workers_per_gather;
} OutboxDirectSettings;

/*
 * Pins those that something of these traits may read, or saves them with traits of 0; neither raises. Open a nest level of
 * settings before any code runs, and take it back before these.
 */
extern void OutboxPinDirectSettings(OutboxTraits traits, OutboxDirectSettings *saved);
extern void OutboxRestoreDirectSettings(const OutboxDirectSettings *saved);

/* Pins the other settings that something of these traits may read, on the nest level that is open. */
extern void OutboxPinSettings(OutboxTraits traits);

/* The name of the n-th of them and the traits that pin it; NULL beyond the last. */
extern const char *OutboxPinnedSetting(int n, const char **value, OutboxTraits *traits);

#endif /* OUTBOX_SETTINGS_H */
