-- Options of the Kafka sink are checked before the sink exists: form, names, values, and what must not be changed.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.try(options jsonb) RETURNS void LANGUAGE sql AS
$$ SELECT outbox.create_sink('options_test', library => 'outbox_kafka', options => options) $$;

\echo form
SELECT pg_temp.try('"bootstrap.servers"');
SELECT pg_temp.try('{"bootstrap.servers": null}');
SELECT pg_temp.try('{"bootstrap.servers": ["a:1", "b:2"]}');
SELECT pg_temp.try('{"bootstrap.servers": {"path": "/x"}}');
SELECT pg_temp.try('{"bootstrap.servers": {"file": 1}}');
SELECT pg_temp.try('{"": "x"}');

\echo names and values of librdkafka
SELECT pg_temp.try('{}');
SELECT pg_temp.try('{"bootstrap.servers": ""}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "no.such.property": 1}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "linger.ms": "soon"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "compression.codec": "rar"}');

\echo what runs code, and what the promises rest on
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "plugin.library.paths": "/tmp/evil"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "sasl.kerberos.kinit.cmd": "touch /tmp/evil"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "ssl.engine.location": "/tmp/evil"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "sasl.kerberos.principal": "kafka; touch /tmp/evil"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "sasl.kerberos.keytab": "$(touch /tmp/evil)"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "sasl.kerberos.service.name": "`touch /tmp/evil`"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "sasl.kerberos.service.name": "kafka"}'), outbox.drop_sink('options_test');
CREATE FUNCTION pg_temp.refused(options jsonb) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.try(options);
    RETURN false;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN true;
END $$;
\echo nor any character that a shell or the template of the command gives a meaning
SELECT name, word FROM unnest('{sasl.kerberos.principal,sasl.kerberos.keytab,sasl.kerberos.service.name}'::text[]) name,
    unnest(ARRAY['-S', 'a b', 'a;b', 'a|b', 'a&b', 'a>b', 'a<b', 'a"b', 'a''b', 'a\b', 'a`b', 'a$b', 'a(b', 'a#b', 'a*b', 'a?b', 'a~b', 'a!b', '%{sasl.password}', E'a\nb', E'a\tb']) word
WHERE NOT pg_temp.refused(jsonb_build_object('bootstrap.servers', 'a:1', name, word));
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "test.mock.num.brokers": 1}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "enable.idempotence": false}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "acks": 1}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "request.required.acks": 1}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "message.timeout.ms": 300000}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "delivery.timeout.ms": 300000}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "transactional.id": "t"}');

\echo our own
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "headers": "some"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "subject.strategy": "Topic"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "source": "two words"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "topic.prefix": "stage/"}');
SELECT pg_temp.try(jsonb_build_object('bootstrap.servers', 'a:1', 'topic.prefix', 'größe.'));
SELECT pg_temp.try(jsonb_build_object('bootstrap.servers', 'a:1', 'topic.prefix', repeat('x', 249)));
SELECT pg_temp.try(jsonb_build_object('bootstrap.servers', 'a:1', 'topic.prefix', repeat('x', 248))), outbox.drop_sink('options_test');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "topic.prefix": ""}'), outbox.drop_sink('options_test');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "schema.registry.url": "registry:8081"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "schema.registry.url": "http://"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "schema.registry.url": "http://user:secret@registry:8081"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "schema.registry.uri": "http://registry:8081"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "schema.registry.basic.auth": "user:secret"}');
SELECT pg_temp.try('{"bootstrap.servers": "a:1", "schema.registry.url": "http://registry:8081", "schema.registry.basic.auth": "secret"}');

\echo files: an absolute path of an ordinary file; one newline at its end is not part of the value
SELECT pg_temp.try('{"bootstrap.servers": {"file": "relative"}}');
SELECT pg_temp.try('{"bootstrap.servers": {"file": "/no/such/file"}}');
SELECT pg_temp.try('{"bootstrap.servers": {"file": "/dev/zero"}}');
SELECT pg_temp.try('{"bootstrap.servers": {"file": "/tmp"}}');
SELECT current_setting('data_directory') || '/headers.option' AS file \gset
COPY (VALUES ('minimal')) TO PROGRAM 'cat > headers.option';
SELECT pg_temp.try(jsonb_build_object('bootstrap.servers', 'a:1', 'headers', jsonb_build_object('file', :'file')));
COPY (VALUES ('minimal'), ('')) TO PROGRAM 'cat > headers.option';
SELECT pg_temp.try(jsonb_build_object('bootstrap.servers', 'a:1', 'headers', jsonb_build_object('file', :'file')));
COPY (SELECT 1 WHERE false) TO PROGRAM 'cat > headers.option && rm headers.option';

\echo none of it left a sink but the good one, and that refers to its file
SELECT name, options - 'headers' AS options, options -> 'headers' ? 'file' AS refers FROM outbox.sink WHERE name = 'options_test';
SELECT outbox.drop_sink('options_test');

\echo everything that may be given
SELECT pg_temp.try('{"bootstrap.servers": "a:1,b:2", "linger.ms": 0.5, "socket.keepalive.enable": true, "headers": "none",
    "source": "https://shop.example.com/db", "schema.registry.url": "https://registry:8081/path/",
    "schema.registry.basic.auth": "user:secret", "schema.registry.ssl.ca.location": "/etc/ssl/ca.pem",
    "subject.strategy": "RecordName", "security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "u", "sasl.password": "p"}');
SELECT outbox.drop_sink('options_test');
\echo what is in a header of every message has a bound
SELECT pg_temp.try(jsonb_build_object('bootstrap.servers', 'a:1', 'source', '/' || repeat('x', 256)));
SELECT pg_temp.try(jsonb_build_object('bootstrap.servers', 'a:1', 'schema.registry.url', 'http://a/' || repeat('x', 248)));
