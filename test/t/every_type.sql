-- A table with a column of every type that an event can carry, a contract over it, and rows with the
-- smallest, the largest, no, empty and non-ASCII values. Used by 001_real_kafka.pl.
CREATE EXTENSION IF NOT EXISTS citext;
CREATE SCHEMA legacy;
CREATE TYPE legacy.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN legacy.sku AS varchar(12);
CREATE TYPE legacy.address AS (street text, zip integer);

CREATE TABLE legacy.every_type (
    id              integer PRIMARY KEY,
    c_bool          boolean,
    c_int2          smallint,
    c_int4          integer,
    c_int8          bigint,
    c_float4        real,
    c_float8        double precision,
    c_text          text,
    c_varchar       varchar(40),
    c_char          char(8),
    c_name          name,
    c_citext        citext,
    c_bytea         bytea,
    c_numeric       numeric(38,10),
    c_whole         numeric(5,0),
    c_fraction      numeric(4,4),
    c_wide          numeric(1000,0),
    c_date          date,
    c_time          time,
    c_timestamptz   timestamptz,
    c_uuid          uuid,
    c_json          json,
    c_jsonb         jsonb,
    c_enum          legacy.mood,
    c_domain        legacy.sku,
    c_interval      interval,
    c_inet          inet,
    c_cidr          cidr,
    c_macaddr       macaddr,
    c_range         int4range,
    c_multirange    int4multirange,
    c_tstzrange     tstzrange,
    c_varbit        varbit,
    c_point         point,
    c_timetz        timetz,
    c_xml           xml,
    c_ints          integer[],
    c_texts         text[],
    c_address       legacy.address
);

CREATE VIEW legacy.every_type_v1 AS SELECT * FROM legacy.every_type;
SELECT outbox.create_contract('every_type', view => 'legacy.every_type_v1', source => 'legacy.every_type', key => '{id}');
SELECT outbox.create_event_type('EveryTypeCreated', contract => 'every_type', emit => 'created', topic => 'test.every_type');
SELECT outbox.create_event_type('EveryTypeDeleted', contract => 'every_type', emit => 'deleted', topic => 'test.every_type');
SELECT outbox.enable('every_type');

-- smallest
INSERT INTO legacy.every_type VALUES (1, false, -32768, -2147483648, -9223372036854775808,
    '-3.4028235e38', '-1.7976931348623157e308', '', '', '', '', '', '',
    -9999999999999999999999999999.9999999999, -99999, -0.9999, -('1' || repeat('0', 998))::numeric,
    '0001-01-01', '00:00:00', '0001-01-01 00:00:00+00', '00000000-0000-0000-0000-000000000000',
    'null', 'null', 'sad', '', '-178000000 years', '0.0.0.0/0', '0.0.0.0/0', '00:00:00:00:00:00',
    'empty', '{}', 'empty', '', '(-1e300,-1e-300)', '00:00:00+15:59:59', '<a/>', '{}', '{}', ROW('', -2147483648));

-- largest
INSERT INTO legacy.every_type VALUES (2, true, 32767, 2147483647, 9223372036854775807,
    '3.4028235e38', '1.7976931348623157e308', repeat('x', 100000), repeat('v', 40), 'cccccccc', repeat('n', 63), repeat('C', 3000),
    decode(repeat('ff', 100000), 'hex'),
    9999999999999999999999999999.9999999999, 99999, 0.9999, repeat('9', 1000)::numeric,
    '9999-12-31', '23:59:59.999999', '9999-12-31 23:59:59.999999+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '{"a" :  [1, 2.50], "a": "kept as written"}', '{"b": 1e10, "a": [true, null]}', 'happy', 'ABCDEFGHIJKL',
    '178000000 years 11 mons 27 days 23:59:59.999999', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '255.255.255.255/32',
    'ff:ff:ff:ff:ff:ff', '[1,2147483647)', '{[1,3),[5,7)}', '[2000-01-01 00:00:00+00,9999-12-31 00:00:00+00]',
    '1111111111', '(1e300,1e-300)', '24:00:00-15:59:59', '<a b="c">d</a>',
    '{-2147483648,0,2147483647}', ARRAY[repeat('y', 1000), ''], ROW(repeat('z', 1000), 2147483647));

-- nothing
INSERT INTO legacy.every_type (id) VALUES (3);

-- beyond ASCII
INSERT INTO legacy.every_type (id, c_text, c_varchar, c_char, c_name, c_citext, c_bytea, c_json, c_jsonb, c_domain, c_xml, c_texts, c_address)
VALUES (4, 'Ünïcödé – 日本語 – 😀 – עברית', 'Käsekäse ΩЖ', 'Żółw', 'имя', 'ÄÖÜß', '\x00c3a4ff', '"\u00e4 ä 😀"', '{"schlüssel": "wert 😀"}',
    'Größe', '<ä>ö</ä>', ARRAY['日本', '😀', 'a"b\c'], ROW('Straße "1"', 0));

-- unusual: signs, scales, zero, trailing blanks, special floats
INSERT INTO legacy.every_type (id, c_float4, c_float8, c_text, c_char, c_numeric, c_whole, c_fraction, c_wide, c_date, c_time, c_timestamptz, c_interval, c_texts)
VALUES (5, 'NaN', 'NaN', E'line\nbreak\ttab', 'a  ', 0, 0, 0.0001, 0, '1970-01-01', '12:34:56.789012', '1969-12-31 23:59:59.999999+00', '-1 day +02:03:04', '{"  "}'),
       (6, 'Infinity', '-Infinity', ' ', '   ', -0.0000000001, -1, -0.0001, 128, '1969-12-31', '00:00:00.000001', '1970-01-01 00:00:00+00', '1 mon', '{NULLABLE}'),
       (7, '1.1754944e-38', '4.9406564584124654e-324', 'z', 'z', 1.10, 127, 0.5, -128, '2000-02-29', '23:59:59.999999', '2024-03-31 01:30:00+01', '0', '{}'),
       (8, '-0', '-0', 'z', 'z', 255, 128, -0.5, -129, '2038-01-19', '01:00', '2038-01-19 03:14:08+00', '1.5 hours', '{a,b}');
