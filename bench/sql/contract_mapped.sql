-- A contract as a migration has them: trimmed, decoded, local times that were stored as UTC put right;
-- several of the expressions may raise.
CREATE VIEW canonical.{name}_v1 AS
SELECT ordr_no                                      AS order_id,
       btrim(cust_no)                               AS customer_id,
       CASE stat_cd WHEN 'N' THEN 'PLACED' WHEN 'P' THEN 'PAID'
                    WHEN 'S' THEN 'SHIPPED' WHEN 'X' THEN 'CANCELLED' END AS status,
       (ordr_tms AT TIME ZONE 'UTC') AT TIME ZONE 'America/New_York' AS placed_at,
       chg_tms                                      AS changed_at,
       due_dt                                       AS due,
       round(tot_amt * 100)::bigint                 AS total_cents,
       prio_flg                                     AS priority,
       upper(shp_city)                              AS city,
       nullif(btrim(rmrk), '')                      AS remark
FROM legacy.{name};
