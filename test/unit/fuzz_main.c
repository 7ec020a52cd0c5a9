/*-------------------------------------------------------------------------
 *
 * fuzz_main.c
 *	  Runs the fuzz targets where there is no libFuzzer.
 *
 *		fuzz_avro SECONDS [SEED]    random inputs for that long
 *		fuzz_avro FILE...           inputs that failed before
 *		fuzz_avro --corpus DIR      writes what mutations start from, for libFuzzer
 *
 * The seed is printed; the same one makes the same inputs. An input that fails
 * is kept in the current directory as fuzz-failure.
 *
 *-------------------------------------------------------------------------
 */
#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_INPUT 4096
#define FAILURE_FILE "fuzz-failure"

static uint8_t input[MAX_INPUT];
static size_t input_size;
static uint64_t random_state;

static uint32_t
random_number(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t) (random_state >> 33);
}

/* Called by a sanitizer before it ends the program. */
static void
keep_input(void)
{
	FILE *file = fopen(FAILURE_FILE, "wb");

	if (file == NULL)
		return;
	fwrite(input, 1, input_size, file);
	fclose(file);
	fprintf(stderr, "fuzz: the input is in %s (%zu bytes, target %d)\n", FAILURE_FILE, input_size, input[0] % FUZZ_TARGETS);
}

static void
add_text(const char *text)
{
	memcpy(input + input_size, text, strlen(text));
	input_size += strlen(text);
}

/* A text or noise, then some changes. */
static void
make_input(void)
{
	const char *text = fuzz_schemas[random_number() % (uint32_t) fuzz_schema_count];
	int changes = (int) (random_number() % 6);
	int target;
	size_t i;

	input[0] = (uint8_t) random_number();
	target = input[0] % FUZZ_TARGETS;
	input_size = 1;
	if (target == 0 || target == FUZZ_COMPATIBLE || (target == 1 && random_number() % 4 == 0))
		add_text(text);
	/* The writer's schema behind a zero: mostly the same one, so that the changes are what differs. */
	if (target == FUZZ_COMPATIBLE)
	{
		input[input_size++] = 0;
		add_text(random_number() % 4 > 0 ? text : fuzz_schemas[random_number() % (uint32_t) fuzz_schema_count]);
	}
	if (target > 0 && target != FUZZ_COMPATIBLE)
	{
		size_t noise = random_number() % (random_number() % 8 ? 64 : 1024);
		uint32_t small = random_number() % 4;

		/* Small numbers keep a walk going longer than uniform bytes would. */
		for (i = 0; i < noise; i++)
			input[input_size++] = (uint8_t) (random_number() % 4 < small ? random_number() % 5 : random_number());
		return;
	}
	while (changes-- > 0)
	{
		size_t at = 1 + random_number() % (input_size - 1);
		size_t n = random_number() % 16;

		if (n > input_size - at)
			n = input_size - at;
		switch (random_number() % 4)
		{
			case 0: /* one character */
				input[at] = (uint8_t) "\"{}[],:az0-\\ \x80."[random_number() % 16];
				break;
			case 1: /* something twice */
				if (input_size + n <= MAX_INPUT)
				{
					memmove(input + at + n, input + at, input_size - at);
					input_size += n;
				}
				break;
			case 2: /* something gone */
				if (input_size - n > 1)
				{
					memmove(input + at, input + at + n, input_size - at - n);
					input_size -= n;
				}
				break;
			default: /* something somewhere else */
				memmove(input + 1 + random_number() % (input_size - n), input + at, n);
				break;
		}
	}
}

static int
run_random(int seconds, uint64_t seed)
{
	time_t end = time(NULL) + seconds;
	unsigned long runs = 0;

	printf("fuzz: %d s, seed %llu\n", seconds, (unsigned long long) seed);
	fflush(stdout);
	random_state = seed;
	while (runs % 256 != 0 || time(NULL) < end)
	{
		make_input();
		/* A copy of exact size, so that a read beyond it is caught. */
		uint8_t *copy = malloc(input_size);

		memcpy(copy, input, input_size);
		LLVMFuzzerTestOneInput(copy, input_size);
		free(copy);
		runs++;
	}
	printf("fuzz: %lu inputs, no failure\n", runs);
	return 0;
}

static int
run_file(const char *name)
{
	FILE *file = fopen(name, "rb");

	if (file == NULL)
	{
		perror(name);
		return 1;
	}
	input_size = fread(input, 1, sizeof(input), file);
	fclose(file);
	LLVMFuzzerTestOneInput(input, input_size);
	printf("fuzz: %s: no failure\n", name);
	return 0;
}

static int
write_corpus(const char *directory)
{
	int i;

	for (i = 0; i < 200; i++)
	{
		char name[1024];
		FILE *file;

		random_state = (uint64_t) i;
		make_input();
		snprintf(name, sizeof(name), "%s/start-%03d", directory, i);
		file = fopen(name, "wb");
		if (file == NULL)
		{
			perror(name);
			return 1;
		}
		fwrite(input, 1, input_size, file);
		fclose(file);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	char *end;
	long seconds;
	int i;
	int status = 0;

	if (argc < 2)
	{
		fprintf(stderr, "usage: %s SECONDS [SEED] | FILE... | --corpus DIRECTORY\n", argv[0]);
		return 1;
	}
	__sanitizer_set_death_callback(keep_input);
	if (argc == 3 && strcmp(argv[1], "--corpus") == 0)
		return write_corpus(argv[2]);
	seconds = strtol(argv[1], &end, 10);
	if (*end == '\0')
		return run_random((int) seconds, argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t) time(NULL) << 16 ^ (uint64_t) getpid());
	for (i = 1; i < argc; i++)
		status |= run_file(argv[i]);
	return status;
}
