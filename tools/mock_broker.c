/*-------------------------------------------------------------------------
 *
 * mock_broker.c
 *	  An embedded Kafka for the demo and for tests: librdkafka's mock cluster.
 *
 *	  mock_broker FILE
 *
 * Writes "127.0.0.1:port" and a newline to FILE when it is ready to serve,
 * creates topics with 4 partitions on first use, and ends when its standard
 * input does: it cannot outlive the script that started it.  Lines of its
 * input make trouble; errors are numbers of the protocol:
 *
 *	  topic NAME ERROR		what metadata says of a topic, 0: all is well
 *	  error KEY ERROR COUNT	the next COUNT answers to requests of this kind
 *	  rtt MS				how long every answer takes
 *	  down, up				whether it can be reached
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
#include <string.h>

static rd_kafka_t *start_client(void);
static int publish_address(const char *file, const char *address);
static void serve_input(rd_kafka_mock_cluster_t *cluster);
static int obey(rd_kafka_mock_cluster_t *cluster, const char *line);

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
			serve_input(cluster);
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
serve_input(rd_kafka_mock_cluster_t *cluster)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		if (obey(cluster, line) != 0)
			fprintf(stderr, "mock_broker: cannot do: %s", line);
	}
}

/* Returns 0 when done. */
static int
obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
	char name[200];
	int number;
	int error;
	int count;

	if (sscanf(line, "topic %199s %d", name, &error) == 2)
	{
		rd_kafka_mock_topic_set_error(cluster, name, (rd_kafka_resp_err_t) error);
		return 0;
	}
	if (sscanf(line, "error %d %d %d", &number, &error, &count) == 3)
	{
		for (int i = 0; i < count; i++)
			rd_kafka_mock_push_request_errors(cluster, (int16_t) number, 1, (rd_kafka_resp_err_t) error);
		return 0;
	}
	if (sscanf(line, "rtt %d", &number) == 1)
		return rd_kafka_mock_broker_set_rtt(cluster, 1, number) != RD_KAFKA_RESP_ERR_NO_ERROR;
	if (strcmp(line, "down\n") == 0)
		return rd_kafka_mock_broker_set_down(cluster, 1) != RD_KAFKA_RESP_ERR_NO_ERROR;
	if (strcmp(line, "up\n") == 0)
		return rd_kafka_mock_broker_set_up(cluster, 1) != RD_KAFKA_RESP_ERR_NO_ERROR;
	return 1;
}
