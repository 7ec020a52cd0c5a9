/*-------------------------------------------------------------------------
 *
 * mock_broker.c
 *	  An embedded Kafka for the demo and for tests: librdkafka's mock cluster.
 *
 *	  mock_broker FILE
 *
 * Writes "127.0.0.1:port" and a newline to FILE when it is ready to serve,
 * creates topics with 4 partitions on first use, and ends when its standard
 * input does: it cannot outlive the script that started it.
 *
 * It speaks the real protocol, so any client can produce and consume.  It
 * keeps 5 MB or 100,000 message sets per partition and checks neither
 * sequences nor sizes nor permissions: never count losses or measure with it.
 *
 *-------------------------------------------------------------------------
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <unistd.h>

static rd_kafka_t *start_client(void);
static int publish_address(const char *file, const char *address);
static void wait_for_end_of_input(void);

int
main(int argc, char **argv)
{
	rd_kafka_t *client;
	rd_kafka_mock_cluster_t *cluster;
	int failed = 1;

	if (argc != 2)
	{
		fprintf(stderr, "usage: mock_broker FILE\n");
		return 2;
	}
	client = start_client();
	if (client == NULL)
		return 1;
	cluster = rd_kafka_mock_cluster_new(client, 1);
	if (cluster == NULL)
		fprintf(stderr, "mock_broker: could not start the mock cluster\n");
	else
	{
		failed = publish_address(argv[1], rd_kafka_mock_cluster_bootstraps(cluster));
		if (!failed)
			wait_for_end_of_input();
		rd_kafka_mock_cluster_destroy(cluster);
	}
	rd_kafka_destroy(client);
	return failed;
}

/* The handle that the cluster lives on; it connects to nothing itself. */
static rd_kafka_t *
start_client(void)
{
	char reason[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *client;

	rd_kafka_conf_set(conf, "client.id", "mock_broker", NULL, 0);
	rd_kafka_conf_set(conf, "log_level", "3", NULL, 0); /* it misses bootstrap.servers, which it does not need */
	client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (client == NULL)
	{
		fprintf(stderr, "mock_broker: %s\n", reason);
		rd_kafka_conf_destroy(conf);
	}
	return client;
}

/* Complete or not at all, whoever looks when. Returns 0 when done. */
static int
publish_address(const char *file, const char *address)
{
	char temporary[4096];
	FILE *out;
	int written;

	if (snprintf(temporary, sizeof(temporary), "%s.tmp", file) >= (int) sizeof(temporary))
	{
		fprintf(stderr, "mock_broker: the file name is too long\n");
		return 1;
	}
	out = fopen(temporary, "w");
	written = out != NULL && fprintf(out, "%s\n", address) > 0;
	if (out == NULL || fclose(out) != 0 || !written || rename(temporary, file) != 0)
	{
		perror(file);
		return 1;
	}
	return 0;
}

static void
wait_for_end_of_input(void)
{
	char buffer[256];

	while (read(STDIN_FILENO, buffer, sizeof(buffer)) > 0)
		;
}
