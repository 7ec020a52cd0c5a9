-- Who may create a sink gains neither the server's files nor its network: file options, outbox.http_hosts, masks.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE ls_admin;
SELECT outbox.grant_access('ls_admin', 'admin');
CREATE FUNCTION try(options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
	why text;
	what_to_do text;
BEGIN
	PERFORM outbox.create_sink('ls_test', library => 'outbox_kafka', options => '{"bootstrap.servers": "a:1"}' || options);
	PERFORM outbox.drop_sink('ls_test');
	RETURN 'allowed';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, why = PG_EXCEPTION_DETAIL, what_to_do = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, said, why, what_to_do);
END $$;

\echo an option that names a file is for those who may read files of the server, as {"file": ...} is
SET ROLE ls_admin;
SELECT o, left(try(jsonb_build_object(o, '/etc/hostname')), 120) FROM unnest('{ssl.ca.location,ssl.certificate.location,ssl.key.location,
	ssl.crl.location,ssl.keystore.location,sasl.kerberos.keytab,https.ca.location,schema.registry.ssl.ca.location}'::text[]) o;
SELECT try('{"ssl.ca.location": {"file": "/etc/hostname"}}'), try('{"sasl.password": {"file": "/etc/hostname"}}');
SELECT try('{"some.library.path": 7}');
RESET ROLE;
GRANT pg_read_server_files TO ls_admin;
SET ROLE ls_admin;
SELECT try('{"ssl.ca.location": "/etc/hostname"}'), try('{"sasl.kerberos.keytab": "/etc/hostname"}');
RESET ROLE;
REVOKE pg_read_server_files FROM ls_admin;

\echo outbox.http_hosts: syntax
SET outbox.http_hosts = 'registry, registry.example.com:8081, 10.0.0.7, [::1]:8081';
SET outbox.http_hosts = 'http://registry';
SET outbox.http_hosts = 'registry:';
SET outbox.http_hosts = 'registry:99999';
SET outbox.http_hosts = 'a, , b';
SET ROLE ls_admin;
SET outbox.http_hosts = '';
RESET ROLE;
SHOW outbox.http_hosts;
\echo what is allowed: the host, with its port if that is given
SELECT u, try(jsonb_build_object('schema.registry.url', u)) FROM unnest('{http://registry,https://REGISTRY:9000/path,http://registry.example.com:8081,
	http://10.0.0.7/x,http://[::1]:8081/}'::text[]) u;
\echo what is not: others, other ports, parts of names, and what a parser of URLs may read in another way
SELECT u, split_part(try(jsonb_build_object('schema.registry.url', u)), ' | ', 2) FROM unnest(ARRAY['http://169.254.169.254/latest', 'http://registry.evil.example',
	'http://evilregistry', 'https://registry.example.com', 'http://registry.example.com', 'http://registry.example.com:80811', 'http://[::1]', 'http://[::2]:8081',
	'http://0x0a000007', E'http://registry\\@evil', E'http://evil\\@registry', 'http://registry,evil.example/', 'http://registry%2eevil', 'http://registry:80:81/', 'HTTP://evil']) u;
SELECT try('{"schema.registry.url": "http://evil"}');
\echo every other URL among the options, whatever its name
SELECT o, split_part(try(o::jsonb), ' | ', 2) FROM unnest(ARRAY['{"sasl.oauthbearer.token.endpoint.url": "https://evil/token"}',
	'{"sasl.oauthbearer.token.endpoint.url": "evil/token"}', '{"sasl.oauthbearer.token.endpoint.url": "ftp://evil/token"}',
	'{"sasl.oauthbearer.config": "x=1 url=http://user:s3cret@evil/token"}',
	'{"sasl.oauthbearer.token.endpoint.url": "http://registry/ http://evil/"}']) o;
\echo without the setting any host is allowed
SET outbox.http_hosts = '';
SELECT try('{"schema.registry.url": "http://169.254.169.254"}');
SET outbox.http_hosts = 'registry';

\echo an UPDATE of the options follows the same rules
SELECT outbox.create_sink('ls_test', library => 'outbox_kafka', options => '{"bootstrap.servers": "a:1", "schema.registry.url": "http://registry"}');
UPDATE outbox.sink SET options = options || '{"schema.registry.url": "http://evil"}' WHERE name = 'ls_test';
UPDATE outbox.sink SET options = options || '{"linger.ms": 1, "schema.registry.url": "http://registry/new"}' WHERE name = 'ls_test';
UPDATE outbox.sink SET desired_state = 'paused' WHERE name = 'ls_test';
UPDATE outbox.sink SET desired_state = 'stopped' WHERE name = 'ls_test';
RESET outbox.http_hosts;

\echo whatever is called password, secret, key or token is masked
UPDATE outbox.sink SET options = (SELECT jsonb_object_agg(o, 's3cret') FROM unnest('{password,db_Password,SECRET,client.secret.value,key,API_KEY_2,
	keyring,tokens,sasl.oauthbearer.token.endpoint.url,basic.auth,ssl.key.location}'::text[]) o) WHERE name = 'ls_test';
SELECT key FROM outbox.sinks s, jsonb_each(s.options) o WHERE s.name = 'ls_test' AND o.value <> '"********"';
SELECT count(*) AS options FROM outbox.sinks s, jsonb_each(s.options) o WHERE s.name = 'ls_test';
SELECT outbox.drop_sink('ls_test');
\echo an error shows no value, also where librdkafka repeats it
SELECT outbox.create_sink('ls_test', library => 'outbox_kafka', options => '{"bootstrap.servers": "a:1", "compression.codec": "s3cret"}');
DROP FUNCTION try;
DROP OWNED BY ls_admin;
DROP ROLE ls_admin;
