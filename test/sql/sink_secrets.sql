-- Secrets among the options of a sink are masked in outbox.sinks, and no error shows them.
\set SHOW_CONTEXT never
SELECT outbox.create_sink('secrets', 'outbox_kafka', '{
    "bootstrap.servers": "broker:9092", "linger.ms": 5, "socket.keepalive.enable": true, "security.protocol": "sasl_ssl",
    "sasl.mechanism": "PLAIN", "sasl.username": "shop", "sasl.password": "s3cret",
    "ssl.key.password": "s3cret", "ssl.keystore.password": "s3cret", "ssl.keystore.location": "/etc/ssl/shop.p12",
    "ssl.ca.location": "/etc/ssl/ca.pem", "sasl.oauthbearer.config": "principal=s3cret",
    "schema.registry.url": "https://registry:8081", "schema.registry.basic.auth": "user:s3cret",
    "schema.registry.ssl.ca.location": "/etc/ssl/ca.pem"}');
\x on
SELECT name, library, jsonb_pretty(options) AS options, start_at, desired_state FROM outbox.sinks WHERE name = 'secrets';
SELECT count(*) FROM outbox.sinks s WHERE s::text LIKE '%s3cret%';
\echo options of libraries that are not known here
UPDATE outbox.sink SET options = '{"url": "amqps://shop:s3cret@broker/vhost", "urls": "nats://s3cret@a:4222,nats://s3@cret@b:4222", "token": "s3cret",
    "private_key": "s3cret", "apiKey": "s3cret", "PassPhrase": "s3cret", "secret_access_key": 7, "ssl.key.pem": "s3cret", "ssl_key": "s3cret",
    "sasl.oauthbearer.client.secret": "s3cret", "sasl.oauthbearer.token.endpoint.url": "https://login/token",
    "password": {"file": "/run/secrets/broker"}, "key": "order_id", "prefetch": 10}' WHERE name = 'secrets';
SELECT jsonb_pretty(options) AS options FROM outbox.sinks WHERE name = 'secrets';
\x off
SELECT outbox.drop_sink('secrets');
\echo errors name the option, not its value
SELECT outbox.create_sink('secrets', 'outbox_kafka', '{"bootstrap.servers": "a:1", "sasl.password": ["s3cret"]}');
SELECT outbox.create_sink('secrets', 'outbox_kafka', '{"bootstrap.servers": "a:1", "sasl.password": "s3cret", "acks": "0"}');
SELECT outbox.create_sink('secrets', 'outbox_kafka', '{"bootstrap.servers": "a:1", "schema.registry.url": "http://u:s3cret@registry"}');
SELECT outbox.create_sink('secrets', 'outbox_kafka', '{"bootstrap.servers": "a:1", "schema.registry.url": "http://registry", "schema.registry.basic.auth": "s3cret"}');
SELECT outbox.create_sink('secrets', 'outbox_log', '{"password": "s3cret"}');
