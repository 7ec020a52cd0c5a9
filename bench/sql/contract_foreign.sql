-- A contract that renames columns, one of them by a function of the user's own: everything is pinned around it.
CREATE FUNCTION canonical.same(val text) RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN val; END';
CREATE VIEW canonical.{name}_v1 AS
SELECT ordr_no      AS order_id,
       canonical.same(cust_no) AS customer_id,
       stat_cd      AS status,
       ordr_tms     AS placed_at,
       chg_tms      AS changed_at,
       due_dt       AS due,
       tot_amt      AS total,
       prio_flg     AS priority,
       shp_city     AS city,
       rmrk         AS remark
FROM legacy.{name};
