-- A contract that renames columns; nothing in it can raise.
CREATE VIEW canonical.{name}_v1 AS
SELECT ordr_no      AS order_id,
       cust_no      AS customer_id,
       stat_cd      AS status,
       ordr_tms     AS placed_at,
       chg_tms      AS changed_at,
       due_dt       AS due,
       tot_amt      AS total,
       prio_flg     AS priority,
       shp_city     AS city,
       rmrk         AS remark
FROM legacy.{name};
