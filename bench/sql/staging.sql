-- The rows that every contender gets.
CREATE SCHEMA legacy;
CREATE TABLE legacy.staging AS
SELECT n AS ordr_no,
       ('C' || lpad((n % 99991)::text, 6, '0'))::char(8) AS cust_no,
       (ARRAY['N', 'P', 'S', 'X'])[1 + n % 4]::char(1) AS stat_cd,
       timestamptz '2004-05-06 07:08:09+00' + n * interval '37 seconds' AS ordr_tms,
       timestamptz '2004-05-06 07:08:09+00' + n * interval '41 seconds' AS chg_tms,
       CASE WHEN n % 10 > 0 THEN date '2004-06-01' + n % 7000 END AS due_dt,
       ((n * 7919::bigint) % 1000000 / 100.0)::numeric(10,2) AS tot_amt,
       n % 3 = 0 AS prio_flg,
       (ARRAY['Münster', 'Springfield', 'São Paulo', 'Walla Walla', 'Reykjavík'])[1 + n % 5]::varchar(30) AS shp_city,
       CASE WHEN n % 5 > 0 THEN 'please ring twice; if nobody answers, leave it with the neighbours at number ' || n || ', second floor' END AS rmrk
FROM generate_series(1, {rows}) AS n;
