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

#include "contract/traits.h"

/* Those that are changed without the server's machinery for settings, as they were. */
#define OUTBOX_DIRECT_SETTINGS 5
typedef struct OutboxDirectSettings
{
	char *strings[OUTBOX_DIRECT_SETTINGS];
	int client_min_messages;
	int max_parallel_workers_per_gather;
} OutboxDirectSettings;

/* Pins those that something of these traits may read, or saves them with traits of 0; neither raises. */
extern void OutboxPinDirectSettings(OutboxTraits traits, OutboxDirectSettings *saved);
extern void OutboxRestoreDirectSettings(const OutboxDirectSettings *saved);

/*
 * Pins the other settings that something of these traits may read. Returns the nest
 * level that AtEOXact_GUC(false, ...) takes back; 0 when all of them have
 * their values already. Pass `nest_level` to go on in one that is open.
 */
extern int OutboxPinSettings(OutboxTraits traits, int nest_level);

/* The name of the n-th of them and the traits that pin it; NULL beyond the last. */
extern const char *OutboxPinnedSetting(int n, const char **value, OutboxTraits *traits);

#endif /* OUTBOX_SETTINGS_H */
